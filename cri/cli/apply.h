// Sends a manifest to the daemon: what `fermata apply` and `fermata run` share.
#pragma once

#include <string>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"

namespace fermata::cri::cli {

// `text` is the content of options.file. What was ignored because --allow-ignored said so goes to standard error.
Result<fv1::ApplyResponse> SendManifest(const Client& client, const std::string& text, const RunOptions& options,
                                        fv1::ApplyRequest::Existing existing);

}  // namespace fermata::cri::cli
