// Records as they lie in state.db (CBOR). Fields are only added; what an older record lacks has its default.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

std::string Encode(const SandboxRecord& record);
std::string Encode(const ContainerRecord& record);
Result<SandboxRecord> DecodeSandbox(std::string_view bytes);
Result<ContainerRecord> DecodeContainer(std::string_view bytes);

}  // namespace fermata::sandbox
