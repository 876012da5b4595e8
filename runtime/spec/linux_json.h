// The "linux" object of a config.json <-> Linux, and its seccomp object. Pure; any thread.
// The readers throw the JSON library's exceptions: call them inside ReadJson.
#pragma once

#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

Result<Linux> ReadLinux(const Json& json);
Seccomp ReadSeccomp(const Json& json);
IdMappings ReadIdMappings(const Json::array_t& json);

Json LinuxToJsonValue(const Linux& settings);
Json IdMappingsToJsonValue(const IdMappings& mappings);

}  // namespace fermata::runtime
