#include "sandbox/seccomp_choice.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec_json.h"

namespace fermata::sandbox {
namespace {

// Not blocking: a pipe under the name must not hang us.
Result<std::string> ReadProfile(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error::Errno("stat ", path);
  if (!S_ISREG(status.st_mode)) return Error::Make(ErrorCode::kInvalidArgument, path, ": is not a regular file");
  ASSIGN_OR_RETURN(std::string text, ReadAll(file.get(), size_t{1} << 20), path);
  return text;
}

}  // namespace

Result<std::optional<runtime::Seccomp>> ChooseSeccomp(const SecurityContext& security,
                                                      const std::vector<std::string>& capabilities) {
  using Chosen = std::optional<runtime::Seccomp>;
  if (security.privileged || security.seccomp == SeccompMode::kUnconfined) return Chosen();
  if (security.seccomp == SeccompMode::kRuntimeDefault) return Chosen(runtime::DefaultSeccompProfile(capabilities));
  const std::string& path = security.seccomp_profile;
  if (!path.starts_with('/')) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile \"", path, "\" is not an absolute path");
  }
  auto text = ReadProfile(path);
  if (!text) return std::move(text).error().Wrap("seccomp profile").WithCode(ErrorCode::kInvalidArgument);
  ASSIGN_OR_RETURN(runtime::Seccomp profile, runtime::SeccompFromJson(*text), path);
  return Chosen(std::move(profile));
}

}  // namespace fermata::sandbox
