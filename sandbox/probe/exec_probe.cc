#include "sandbox/probe/exec_probe.h"

namespace fermata::sandbox::probe {
namespace {

constexpr size_t kMaxOutputBytes = size_t{10} << 10;

}  // namespace

ProbeResult JudgeExec(const Result<runtime::ExecResult>& ended, std::chrono::milliseconds timeout) {
  if (ended) {
    const std::string output = (ended->output[0] + ended->output[1]).substr(0, kMaxOutputBytes);
    return {ended->exit_code == 0 ? Outcome::kSuccess : Outcome::kFailure, output};
  }
  if (ended.error().code() == ErrorCode::kDeadlineExceeded) {
    return {Outcome::kFailure, "command timed out after " + std::to_string(timeout.count()) + " ms"};
  }
  return {Outcome::kError, ended.error().message()};
}

void RunExecProbe(Engine& engine, ContainerManager& containers, const ContainerId& id, const ExecAction& action,
                  std::chrono::milliseconds timeout, ProbeDone done) {
  engine.tasks.Post([&containers, id, command = action.command, timeout, done = std::move(done)] {
    const auto begun = std::chrono::steady_clock::now();
    ProbeResult result = JudgeExec(containers.ExecSync(id, command, timeout), timeout);
    result.begun = begun;
    done(std::move(result));
  });
}

}  // namespace fermata::sandbox::probe
