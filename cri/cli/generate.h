// `fermata generate`: files for other programs.
#pragma once

#include <string>

#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// Prints a unit for systemd. What is a file is taken for a manifest and checked; else it is a pod that is there.
Result<int> GenerateSystemd(const Global& global, const std::string& file_or_pod);

// One word of a command line in a unit, whatever is in it. Pure.
std::string UnitWord(std::string_view word);

}  // namespace fermata::cri::cli
