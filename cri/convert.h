// The CRI's messages to the values of sandbox/ and records back to messages; pure, no I/O, no state, any thread.
//
// Every request is checked here in full: what passes can be recorded as it is. Errors name the field, as in
// "linux.security_context.run_as_user: -1 is not in 0..4294967294": kInvalidArgument for what contradicts the
// interface, kUnimplemented for what it allows and this runtime does not do yet. What the values cannot hold is
// refused; what is left out without an error is said where it happens, with the reason.
//
// Times are Unix nanoseconds, sizes bytes.
#pragma once

#include <optional>
#include <string>

#include "cgroups/settings.h"
#include "cri/api/runtime_v1.pb.h"
#include "overlay/image/image.h"
#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::cri {

namespace v1 = ::runtime::v1;

// Owner is kCri. Whether there is a handler of that name is the caller's to say.
Result<sandbox::SandboxSpec> FromProto(const v1::PodSandboxConfig& config, const std::string& runtime_handler);

// `sandbox` is the one that it is for: network and ipc namespaces follow it, only pid is the container's choice.
// log_path stays relative to the sandbox's log_directory; it is empty when there is to be no log.
Result<sandbox::ContainerSpec> FromProto(const v1::ContainerConfig& config, const sandbox::SandboxSpec& sandbox);

// 0 and empty: not asked for. oom_score_adj is no limit of a group: see OomScoreAdj. An update may name the swap
// limit alone; whether that agrees with the memory limit in force is checked when both are known.
Result<cgroups::Resources> FromProto(const v1::LinuxContainerResources& resources);
// nullopt: not asked for.
Result<std::optional<int>> OomScoreAdj(const v1::LinuxContainerResources& resources);

v1::PodSandbox ToPodSandbox(const sandbox::SandboxRecord& record);
// Without addresses for the host's network (kubelet takes the node's then) and when it is not READY.
v1::PodSandboxStatus ToPodSandboxStatus(const sandbox::SandboxRecord& record);
v1::Container ToContainer(const sandbox::ContainerRecord& record);
v1::ContainerStatus ToContainerStatus(const sandbox::ContainerRecord& record);
// What was asked for, not what was made of it: kubelet's in-place resize compares it with its own numbers.
v1::LinuxContainerResources ToLinuxContainerResources(const sandbox::ContainerSpec& spec);
v1::LinuxContainerResources ToProto(const cgroups::Resources& resources);  // the same without oom_score_adj
v1::Image ToImage(const overlay::Image& image);

// All fields of a filter must agree; an empty one does not restrict; ids by their beginning. A sandbox that is
// only an intent (kCreating) matches nothing. Whose it is (owner) is the caller's business.
bool Matches(const v1::PodSandboxFilter& filter, const sandbox::SandboxRecord& record);
bool Matches(const v1::ContainerFilter& filter, const sandbox::ContainerRecord& record);

// Numbers of this machine; 0 and SIGNAL_RUNTIME_DEFAULT belong together. nullopt: no value of the enum.
std::optional<int> SignalNumber(v1::Signal signal);
v1::Signal ToSignal(int number);

}  // namespace fermata::cri
