// Manifests as the command line sees them: where they come from, and what would be made of them.
#pragma once

#include <string>

#include "cri/api/fermata_v1.pb.h"
#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// "-" is the standard input.
Result<std::string> ReadManifest(const std::string& file);
std::string ShownName(const std::string& file);
// Of a dry run; gives the exit status.
Result<int> PrintPlanned(const Global& global, const fermata::v1::ApplyResponse& response);

}  // namespace fermata::cri::cli
