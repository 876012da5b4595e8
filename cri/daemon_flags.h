// The flags of fermatad, for the daemon and for who wants to know what they would make of its configuration. One
// thread.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

#include "cri/config.h"

namespace fermata::cri {

struct DaemonFlags {
  std::string config = "/etc/fermata/config.toml";
  DaemonConfig values;  // only those given on the command line count
};

// Both live as long as the parsing and Merge.
void AddDaemonFlags(CLI::App& app, DaemonFlags& flags);

// The files, and over them the flags that `app` was given.
Result<DaemonConfig> MergeConfig(const CLI::App& app, const DaemonFlags& flags, ConfigSources& sources);

// packaging/config.toml as it was built in: every key as a comment with its default.
std::string_view PackagedConfig();

}  // namespace fermata::cri
