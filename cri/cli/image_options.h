// The part of the command line that is about images: pull, push, login, logout, image ....
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// What is chosen is put into `command`, with the options as they were read; both outlive the parsing.
void AddImageCommands(CLI::App& app, Global& global, std::function<Result<int>()>& command);

}  // namespace fermata::cri::cli
