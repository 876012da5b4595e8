// The commands of fermata-oci, as functions: what runc's command line asks for, on this project's engine.
// One thread. Errors are returned; main.cc prints and logs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/settings.h"
#include "runtime/base/result.h"

namespace fermata::runtime::oci {

struct Global {
  std::string root = "/run/fermata-oci";
  cgroups::MissingControllers missing_controllers = cgroups::MissingControllers::kError;
};

struct CreateOptions {
  std::string id;
  std::string bundle = ".";
  std::string console_socket;
  std::string pid_file;
  size_t preserve_fds = 0;  // from 3 on
  bool no_new_keyring = false;
};
Result<> Create(const Global& global, const CreateOptions& options);
Result<> Start(const Global& global, const std::string& id);

struct RunOptions : CreateOptions {
  bool detach = false;
  bool keep = false;  // the container's directory stays when it has ended
};
// The exit code of the container; 0 when detached.
Result<int> Run(const Global& global, const RunOptions& options);

struct ExecOptions {
  std::string id;
  std::vector<std::string> args;
  std::vector<std::string> env;  // added to the container's
  std::vector<std::string> capabilities;
  std::vector<uint32_t> additional_gids;
  std::string cwd, user, process_file, console_socket, pid_file, apparmor, process_label;
  size_t preserve_fds = 0;
  bool tty = false;
  bool detach = false;
  bool no_new_privileges = false;
  bool ignore_paused = false;
};
Result<int> Exec(const Global& global, const ExecOptions& options);

// `all`: every process of the container.
Result<> Kill(const Global& global, const std::string& id, const std::string& signal, bool all);
Result<> Delete(const Global& global, const std::string& id, bool force);
Result<> Pause(const Global& global, const std::string& id);
Result<> Resume(const Global& global, const std::string& id);

struct UpdateOptions {
  std::string id;
  std::string resources_file;  // "-" is the standard input
  cgroups::Resources resources;
};
Result<> Update(const Global& global, const UpdateOptions& options);

// What follows prints to the standard output.
Result<> State(const Global& global, const std::string& id);
enum class ListFormat : uint8_t { kTable, kJson, kQuiet };
Result<> List(const Global& global, ListFormat format);
Result<> Processes(const Global& global, const std::string& id, bool json);
// One JSON object a line: statistics every interval, and when an OOM kill happened; ends with the container.
Result<> Events(const Global& global, const std::string& id, bool once, int interval_seconds);
Result<> Features();
// Writes a config.json to start from. kAlreadyExists.
Result<> WriteSpec(const std::string& bundle);

}  // namespace fermata::runtime::oci
