// `fermata stats`, `fermata debug dump` and `fermata doctor`: what runs uses, what the daemon does, and whether the
// machine is fit.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

#include "cri/cli/commands.h"

namespace fermata::cri::cli {

// The chosen one is put into `command`; both references must outlive the parsing and the call.
void AddSystemCommands(CLI::App& app, const Global& global, std::function<Result<int>()>& command);

}  // namespace fermata::cri::cli
