// kill, delete, pause, resume, update: what is done to a container that exists.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>

#include "cgroups/mount.h"
#include "runtime/base/file.h"
#include "runtime/base/signal_name.h"
#include "runtime/oci/commands.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/state_store.h"
#include "runtime/spec/resources_json.h"

namespace fermata::runtime::oci {
namespace {

constexpr auto kFreezeDeadline = std::chrono::seconds(10);
constexpr auto kEmptyDeadline = std::chrono::seconds(10);

Result<int> SignalOf(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return ParseSignal(text);
}

// A group of its own PID namespace's processes is killed as one; other signals go to each process.
Result<> SignalAll(const ContainerState& state, int signal) {
  auto group = GroupOf(state);
  if (!group) return {};  // it is gone, and all its processes are
  if (signal == SIGKILL) return group->Kill();
  ASSIGN_OR_RETURN(const std::vector<pid_t> processes, group->ProcessesBelow());
  for (const pid_t pid : processes) {
    auto process = Pidfd::Open(pid);
    if (process) RETURN_IF_ERROR(process->Signal(signal));
  }
  return {};
}

// What is left of it on the host, from the bottom up. Succeeds when it is gone already.
Result<> RemoveRemains(StateStore& store, const ContainerState& state) {
  ASSIGN_OR_RETURN(const std::string mount, cgroups::FindCgroup2Mount());
  ASSIGN_OR_RETURN(const cgroups::Cgroup root, cgroups::Cgroup::Open(mount));
  if (auto group = root.OpenBelow(state.group)) {
    RETURN_IF_ERROR(group->Kill());
    (void)group->Thaw(kFreezeDeadline);  // a frozen process does not die before
    RETURN_IF_ERROR(group->WaitEmpty(kEmptyDeadline));
    RETURN_IF_ERROR(root.Remove(state.group));
  }
  return store.Remove(state.id);
}

Result<ContainerState> LoadActive(StateStore& store, const std::string& id, std::string_view what) {
  ASSIGN_OR_RETURN(ContainerState state, store.Load(id));
  ASSIGN_OR_RETURN(const Status status, StatusOf(store, state));
  if (status != Status::kStopped) return state;
  return Error::Make(ErrorCode::kFailedPrecondition, "cannot ", what, " a stopped container");
}

// A creation that died leaves a directory, and perhaps a control group whose name only it knew.
Result<> DeleteUnfinished(StateStore& store, const std::string& id, const Error& why, bool force) {
  if (!force) return why;
  if (why.code() == ErrorCode::kInvalidArgument) return why;
  return store.Remove(id);
}

// The container is gone; what fails here is a warning, and the others run all the same (runtime.md, "Lifecycle").
void RunPoststop(const ContainerState& state) {
  const std::string text = StateJson(state, Status::kStopped).dump();
  for (const Hook& hook : state.spec.hooks.poststop) {
    const auto done = RunHooks({hook}, "poststop", text);
    if (!done) std::cerr << "fermata-oci: warning: " << done.error().message() << "\n";
  }
}

}  // namespace

Result<> Kill(const Global& global, const std::string& id, const std::string& signal, bool all) {
  ASSIGN_OR_RETURN(const int number, SignalOf(signal));
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(id));
  if (all) return SignalAll(state, number);
  const auto process = ProcessOf(state);
  // podman and containerd know these words.
  if (!process) return Error::Make(ErrorCode::kFailedPrecondition, "container not running");
  return process->Signal(number);
}

Result<> Delete(const Global& global, const std::string& id, bool force) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  auto state = store.Load(id);
  if (!state) return DeleteUnfinished(store, id, state.error(), force);
  if (!force) {
    ASSIGN_OR_RETURN(const Status status, StatusOf(store, *state));
    if (status != Status::kStopped && status != Status::kCreated) {
      return Error::Make(ErrorCode::kFailedPrecondition, "cannot delete container ", id,
                         " that is not stopped: ", StatusText(status));
    }
  }
  RETURN_IF_ERROR(RemoveRemains(store, *state));
  RunPoststop(*state);
  return {};
}

Result<> Pause(const Global& global, const std::string& id) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, LoadActive(store, id, "pause"));
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  Result<> frozen = group.Freeze(kFreezeDeadline);
  if (!frozen) (void)group.Thaw(kFreezeDeadline);  // half frozen is worse than not at all
  return frozen;
}

Result<> Resume(const Global& global, const std::string& id) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, LoadActive(store, id, "resume"));
  ASSIGN_OR_RETURN(const Status status, StatusOf(store, state));
  if (status != Status::kPaused) return Error::Make(ErrorCode::kFailedPrecondition, "container is not paused");
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  return group.Thaw(kFreezeDeadline);
}

Result<> Update(const Global& global, const UpdateOptions& options) {
  cgroups::Resources resources = options.resources;
  if (!options.resources_file.empty()) {
    UniqueFd opened;
    if (options.resources_file != "-") {
      ASSIGN_OR_RETURN(opened, OpenAt(AT_FDCWD, options.resources_file, O_RDONLY), "resources");
    }
    ASSIGN_OR_RETURN(const std::string text, ReadAll(opened.valid() ? opened.get() : STDIN_FILENO), "resources");
    ASSIGN_OR_RETURN(LinuxResources read, ResourcesFromJson(text));
    resources = std::move(read.limits);
  }
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, LoadActive(store, options.id, "update"));
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  RETURN_IF_ERROR(cgroups::Apply(group, resources, global.missing_controllers), "update");
  return {};
}

}  // namespace fermata::runtime::oci
