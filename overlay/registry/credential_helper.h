// Credential helpers: programs docker-credential-NAME that keep credentials for docker's configuration.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "overlay/registry/credentials.h"
#include "overlay/registry/stops.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Runs `docker-credential-<helper> get` from PATH, which is told `server_url`, without a shell; kills it at the
// deadline. Nothing when it says that it knows none. Errors name the program, never what it printed. Any thread.
Result<std::optional<Credentials>> RunCredentialHelper(const std::string& helper, const std::string& server_url,
                                                       std::chrono::milliseconds deadline, const Stops& stops);

// What a helper printed.
Result<Credentials> ParseHelperAnswer(std::string_view text, std::string_view what);

}  // namespace fermata::overlay
