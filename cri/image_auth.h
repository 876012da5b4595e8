// The credentials of a PullImage call. Pure.
#pragma once

#include <optional>
#include <string>

#include "cri/api/runtime_v1.pb.h"
#include "overlay/registry/credentials.h"
#include "runtime/base/result.h"

namespace fermata::cri {

// Nothing when there are none, and when they are for another server than that of `image`. kInvalidArgument for an
// `auth` that is not "user:password" in base64; the text does not quote it.
Result<std::optional<overlay::Credentials>> CredentialsOf(const ::runtime::v1::AuthConfig& auth,
                                                          const std::string& image);

}  // namespace fermata::cri
