#include "cri/cli/config_commands.h"

#include <iostream>
#include <memory>

#include "cri/cli/output.h"
#include "cri/daemon_flags.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

Result<int> Check(const std::string& file, bool named) {
  DaemonConfig config;
  ConfigSources sources;
  // A file that was named is looked at alone: it may be one of conf.d, or not yet where it belongs.
  const Result<> read = named ? ReadConfigFile(file, config, sources) : ReadConfig(file, false, config, sources);
  RETURN_IF_ERROR(read);
  RETURN_IF_ERROR(CheckConfig(config));
  std::cout << Printable(file) << ": fine, " << sources.size() << (sources.size() == 1 ? " key\n" : " keys\n");
  return 0;
}

Result<int> Dump(const Global& global, const CLI::App& command, const DaemonFlags& flags) {
  ConfigSources sources;
  ASSIGN_OR_RETURN(const DaemonConfig config, MergeConfig(command, flags, sources));
  const std::vector<ConfigValue> values = ShowConfig(config, sources);
  if (global.json) {
    Json all = Json::array();
    for (const ConfigValue& one : values)
      all.push_back({{"key", one.name}, {"value", one.value}, {"source", one.source}});
    std::cout << all.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"KEY", "VALUE", "SOURCE"}};
  for (const ConfigValue& one : values) rows.push_back({one.name, Printable(one.value), Printable(one.source)});
  std::cout << FormatTable(rows);
  return 0;
}

}  // namespace

void AddConfigCommands(CLI::App& app, const Global& global, std::function<Result<int>()>& command) {
  CLI::App* config = app.add_subcommand("config", "The daemon's configuration; needs no daemon");
  config->require_subcommand(1);
  config->add_subcommand("default", "Print the configuration file as it is packaged: every key with its default")
      ->callback([&] {
        command = []() -> Result<int> {
          std::cout << PackagedConfig();
          return 0;
        };
      });

  const auto flags = std::make_shared<DaemonFlags>();
  CLI::App* dump = config->add_subcommand(
      "dump",
      "Show what a daemon with these flags would take, and where each value comes from: FILE:LINE, a flag, or "
      "the default");
  AddDaemonFlags(*dump, *flags);
  dump->callback([&, dump, flags] { command = [&global, dump, flags] { return Dump(global, *dump, *flags); }; });

  const auto file = std::make_shared<std::string>(flags->config);
  CLI::App* check =
      config->add_subcommand("check", "Look for errors in a configuration: all at once, each with its line");
  CLI::Option* named =
      check->add_option("FILE", *file, "only this file (default: /etc/fermata/config.toml and conf.d)");
  check->callback([&, file, named] { command = [file, named] { return Check(*file, named->count() != 0); }; });
}

}  // namespace fermata::cri::cli
