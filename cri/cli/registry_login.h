// Credentials of the user who runs `fermata`: found in files of docker's config.json form, and kept there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "overlay/registry/credentials.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// `explicit_credentials` is USER[:PASSWORD] or empty; `auth_file` counts before the usual places, which are
// $REGISTRY_AUTH_FILE, $DOCKER_CONFIG or ~/.docker, and podman's in $XDG_RUNTIME_DIR. Nothing when none knows the
// registry of `image`: the daemon has files of its own.
Result<std::optional<overlay::Credentials>> FindUserCredentials(const std::string& explicit_credentials,
                                                                const std::string& auth_file, const std::string& image);

// Where login writes: `auth_file`, $REGISTRY_AUTH_FILE, or the daemon's own /etc/fermata/auth.json.
std::string LoginFile(const std::string& auth_file);
// Puts the entry into the file (made with mode 0600), other entries stay. An identity token goes without a password.
Result<> StoreCredentials(const std::string& file, const std::string& registry,
                          const overlay::Credentials& credentials);
// False: there was none.
Result<bool> ForgetCredentials(const std::string& file, const std::string& registry);

// From the terminal, without an echo; the first line of standard input where that is none.
Result<std::string> ReadPassword(const std::string& prompt);

}  // namespace fermata::cri::cli
