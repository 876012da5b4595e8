#include "sandbox/seccomp_choice.h"

#include <fcntl.h>

#include "runtime/base/file.h"
#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec_json.h"

namespace fermata::sandbox {

Result<std::optional<runtime::Seccomp>> ChooseSeccomp(const SecurityContext& security,
                                                      const std::vector<std::string>& capabilities) {
  using Chosen = std::optional<runtime::Seccomp>;
  if (security.privileged || security.seccomp == SeccompMode::kUnconfined) return Chosen();
  if (security.seccomp == SeccompMode::kRuntimeDefault) return Chosen(runtime::DefaultSeccompProfile(capabilities));
  const std::string& path = security.seccomp_profile;
  if (!path.starts_with('/')) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile \"", path, "\" is not an absolute path");
  }
  auto text = ReadFileAt(AT_FDCWD, path, size_t{1} << 20);
  if (!text) return std::move(text).error().Wrap("seccomp profile").WithCode(ErrorCode::kInvalidArgument);
  ASSIGN_OR_RETURN(runtime::Seccomp profile, runtime::SeccompFromJson(*text), path);
  return Chosen(std::move(profile));
}

}  // namespace fermata::sandbox
