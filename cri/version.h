// What this build calls itself.
#pragma once

namespace fermata::cri {
inline constexpr const char* kRuntimeName = "fermata";
inline constexpr const char* kRuntimeVersion = FERMATA_VERSION;  // semantic version, from CMakeLists.txt
}  // namespace fermata::cri
