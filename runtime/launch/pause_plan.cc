// The plan of pause: the pod's namespaces, and the template mount namespace that its containers join and copy.
#include <sched.h>
#include <sys/mount.h>

#include "runtime/launch/container_plan.h"
#include "runtime/launch/mounts.h"

namespace fermata::runtime {
namespace {

struct TemplateMount {
  const char *type, *directory;
  std::vector<std::pair<std::string, std::string>> data;
};

// Makes `type` and attaches it on `directory` of the template's root.
void AddTemplateMount(PlanBuilder& plan, int16_t root, const TemplateMount& mount, int16_t out) {
  const std::string label = std::string("mount ") + mount.type + " in the pod's mount namespace";
  const int16_t context = plan.Slot();
  PlanStep& open = plan.Add(Op::kFsOpen, label);
  open.text = plan.Text(mount.type);
  open.out = context;
  for (const auto& [key, value] : mount.data) {
    PlanStep& step = plan.Add(Op::kFsConfig, label + ": option " + key);
    step.fd = context;
    step.text = plan.Text(key);
    step.text2 = plan.Text(value);
  }
  PlanStep& create = plan.Add(Op::kFsMount, label);
  create.fd = context;
  create.out = out;
  create.a = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (root == kNoSlot) return;
  PlanStep& make = plan.Add(Op::kMakeDirectory, label);
  make.fd = root;
  make.text = plan.Text(mount.directory);
  make.a = 0755;
  PlanStep& move = plan.Add(Op::kMoveMount, label);
  move.fd = out;
  move.fd2 = root;
  move.text = plan.Text(mount.directory);
}

// The template that containers join and copy: r for their root, i for images, p proc, s sysfs, m the pod's /dev/shm.
// The new root is attached somewhere in the old one first, because pivot_root asks for a mount point.
void AddTemplate(PlanBuilder& plan, const PauseLaunch& launch) {
  plan.Add(Op::kPrivateRoot, "make mounts private");
  const int16_t root = plan.Slot();
  AddTemplateMount(plan, kNoSlot, {"tmpfs", "", {{"mode", "0755"}, {"size", "65536"}}}, root);
  for (const char* name : {"r", "i"}) {
    PlanStep& make = plan.Add(Op::kMakeDirectory, "make the mount points of root file systems and images");
    make.fd = root;
    make.text = plan.Text(name);
    make.a = 0755;
  }
  PlanStep& attach = plan.Add(Op::kMoveMount, "attach the pod's mount namespace");
  attach.fd = root;
  attach.text = plan.Text("/dev");
  const int16_t proc = plan.Slot();
  AddTemplateMount(plan, root, {"proc", "p", {}}, proc);
  // For containers with a user namespace, which may mount theirs only where a whole one is in sight already.
  const bool host_network = (launch.new_namespaces & CLONE_NEWNET) == 0;
  if (!launch.user || !host_network) AddTemplateMount(plan, root, {"sysfs", "s", {}}, plan.Slot());
  AddTemplateMount(plan, root, {"tmpfs", "m", {{"mode", "1777"}, {"size", std::to_string(launch.shm_bytes)}}},
                   plan.Slot());
  for (const auto& [name, value] : launch.sysctls) AddSysctl(plan, proc, name, value);
  plan.Add(Op::kPivotRoot, "change root to the pod's mount namespace").fd = root;
}

}  // namespace

Result<LaunchPlan> PlanPause(const PauseLaunch& launch) {
  PlanBuilder plan;
  const uint64_t namespaces = launch.new_namespaces | CLONE_NEWNS;
  if (!launch.user) plan.header().clone_flags = namespaces;
  plan.Add(Op::kSetsid, "start session");
  plan.Add(Op::kNewKeyring, "start session keyring").flags = kPermissionOk;
  PlanStep& oom = plan.Add(Op::kOomScoreAdj, "set oom_score_adj");
  oom.text = plan.Text(std::to_string(launch.oom_score_adj));
  oom.flags = kPermissionOk;
  if (launch.user) {
    // The user namespace is made by the monitor and owns all others: they are born in it, at the second stage.
    RETURN_IF_ERROR(CheckMappings(*launch.user), "user namespace");
    const int16_t user_ns = plan.UserNamespace(IdMapText(launch.user->uids), IdMapText(launch.user->gids));
    AddJoin(plan, user_ns, CLONE_NEWUSER, "enter the pod's user namespace");
    plan.Add(Op::kStage, "make the pod's namespaces").a = namespaces;
  }
  if ((launch.new_namespaces & CLONE_NEWUTS) != 0 && !launch.hostname.empty()) {
    plan.Add(Op::kHostname, "set hostname " + launch.hostname).text = plan.Text(launch.hostname);
  }
  if ((launch.new_namespaces & CLONE_NEWNET) != 0) plan.Add(Op::kLoopbackUp, "bring up lo");
  AddTemplate(plan, launch);
  plan.Add(Op::kBoundingSet, "drop capabilities").a = 0;
  plan.Add(Op::kCapabilities, "drop capabilities");
  const std::vector<std::string> arguments = {"fermata-pause"};
  plan.Execute({}, arguments, {}, "exec pause");
  return plan.Finish();
}

}  // namespace fermata::runtime
