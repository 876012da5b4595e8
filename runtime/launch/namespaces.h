// Steps into and out of namespaces, shared by the plans of pods and of bundles. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// Of a user namespace (user_namespaces(7)).
struct UserMappings {
  IdMappings uids, gids;
};

// kInvalidArgument for mappings that overlap, are empty or run over the end, or without one of id 0.
Result<> CheckMappings(const UserMappings& mappings);
// The id outside that `id` inside is.
std::optional<uint32_t> HostId(const IdMappings& mappings, uint32_t id);

// Joins namespaces (CLONE_NEW*) of the process or namespace in `slot`; those of type user make the process root there.
void AddJoin(PlanBuilder& plan, int16_t slot, uint64_t namespaces, std::string_view label);
// The process is root of the user namespace that it has joined, and nobody else.
void AddRootIds(PlanBuilder& plan);

// Whether a new time namespace is asked for.
bool MakesTimeNamespace(const Linux& settings);
// A new time namespace; nothing if none is asked for. A process enters it with its next fork (an execve does it since
// Linux 6.3 only), so the plan goes on in a second stage, which is born with `stage_flags` (CLONE_NEWPID) and, with
// `join_pid`, in the PID namespace of kPidSlot. With the host's rights, in the host's PID namespace.
// kInvalidArgument for offsets that are none.
Result<> AddTimeNamespace(PlanBuilder& plan, const Linux& settings, uint64_t stage_flags, bool join_pid);

// A procfs of the process's own PID namespace, in a slot; for sysctls. Attached nowhere.
int16_t AddPrivateProc(PlanBuilder& plan, std::string_view label);
void AddSysctl(PlanBuilder& plan, int16_t proc, const std::string& name, const std::string& value);

}  // namespace fermata::runtime
