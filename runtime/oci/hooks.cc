#include "runtime/oci/hooks.h"

#include <unistd.h>

#include <csignal>

#include "runtime/base/memfd.h"
#include "runtime/base/spawn.h"

namespace fermata::runtime::oci {
namespace {

Result<> RunHook(const Hook& hook, const std::string& state) {
  ASSIGN_OR_RETURN(const UniqueFd input, SealedData("state", state));
  if (::lseek(input.get(), 0, SEEK_SET) != 0) return Error::Errno("lseek");
  SpawnOptions options;
  options.executable = hook.path;
  options.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  options.environment = hook.env;
  options.fds = {{input.get(), 0}, {1, 1}, {2, 2}};
  ASSIGN_OR_RETURN(const SpawnedProcess process, Spawn(options));
  const int timeout_ms = hook.timeout_seconds ? *hook.timeout_seconds * 1000 : -1;
  const bool ended = process.pidfd.WaitExited(timeout_ms);
  if (!ended) (void)process.pidfd.Signal(SIGKILL);  // it may end by itself just now
  ASSIGN_OR_RETURN(const int code, Reap(process.pidfd));
  if (!ended) return Error::Make(ErrorCode::kDeadlineExceeded, "took longer than its timeout");
  if (code != 0) return Error::Make(ErrorCode::kInternal, "ended with status ", std::to_string(code));
  return {};
}

}  // namespace

Result<> RunHooks(const std::vector<Hook>& hooks, std::string_view point, const std::string& state) {
  for (const Hook& hook : hooks) RETURN_IF_ERROR(RunHook(hook, state), point, " hook ", hook.path);
  return {};
}

}  // namespace fermata::runtime::oci
