// Sealed memory files: a program or message that nobody can change any more (memfd_create(2)).
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata {

// Copies the file at `path` into a sealed, executable memory file. Kernels before 6.3 know neither
// MFD_EXEC nor F_SEAL_EXEC; found by trying.
Result<UniqueFd> SealedProgram(const std::string& name, const std::string& path);

// A sealed memory file that holds `data`; readable, not executable.
Result<UniqueFd> SealedData(const std::string& name, std::string_view data);

}  // namespace fermata
