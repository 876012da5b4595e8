// config.json to a launch plan. The input: a byte of choices, and the text. Every plan that is made passes the
// monitor's check and may be followed.
#include <sched.h>

#include "runtime/launch/bundle_plan.h"
#include "runtime/launch/container_plan.h"
#include "runtime/spec/spec_json.h"
#include "tests/fuzz/plan_walk.h"

namespace fermata::runtime {
namespace {

void CheckPlan(const Result<LaunchPlan>& plan) {
  if (!plan) return fuzz::CheckError(plan.error());
  WalkPlan(*plan);
}

void CheckPlans(uint8_t choices, const Spec& spec) {
  const auto chosen = [choices](int bit) { return (choices >> bit & 1) != 0; };
  ContainerLaunch launch{.spec = spec};
  if (chosen(0)) launch.overlay = OverlayRootfs{"/layers", {"2", "1"}, "/upper", "/work", chosen(1)};
  launch.pid = static_cast<PidNamespace>(choices >> 2 & 1);
  launch.two_stages = chosen(3);
  launch.pod_shm = chosen(4);
  launch.join_namespaces = CLONE_NEWNET | CLONE_NEWIPC;
  if (chosen(5) && spec.linux.seccomp) {
    if (auto filter = CompileSeccomp(*spec.linux.seccomp)) launch.seccomp = std::move(filter).value();
  }
  if (chosen(6)) launch.user = UserMappings{{{0, 100000, 65536}}, {{0, 100000, 65536}}};
  CheckPlan(PlanContainer(launch));
  CheckPlan(PlanExec({.process = spec.process,
                      .join_namespaces = CLONE_NEWNET,
                      .pid = launch.pid,
                      .two_stages = launch.two_stages,
                      .personality = spec.linux.personality,
                      .user = launch.user,
                      .console = spec.process.terminal,
                      .seccomp = nullptr}));
  CheckPlan(PlanPause({.new_namespaces = chosen(6) ? CLONE_NEWUTS | CLONE_NEWNET : uint64_t{0},
                       .hostname = spec.hostname,
                       .shm_bytes = 1 << 20,
                       .sysctls = spec.linux.sysctl,
                       .oom_score_adj = spec.process.oom_score_adj.value_or(0),
                       .user = launch.user}));
  CheckPlan(PlanBundle({.spec = spec, .seccomp = launch.seccomp, .preserved = choices & 3U, .two_stages = chosen(3)}));
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const auto spec = fermata::runtime::SpecFromJson(fermata::fuzz::TextOf(data + 1, size - 1));
  if (spec) fermata::runtime::CheckPlans(data[0], *spec);
  return 0;
}
