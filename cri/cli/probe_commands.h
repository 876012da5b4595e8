// `fermata probe ls|history|run`.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

#include "cri/cli/commands.h"

namespace fermata::cri::cli {

// The chosen one is put into `command`; both references must outlive the parsing and the call.
void AddProbeCommands(CLI::App& app, Global& global, std::function<Result<int>()>& command);

}  // namespace fermata::cri::cli
