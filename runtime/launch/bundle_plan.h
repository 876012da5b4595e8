// The plan of a container without a pod: what an OCI bundle's config.json says, all of it. Pure; any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// Descriptors that the launcher gives, in this order, each only where it applies:
//   the namespaces of spec.linux.namespaces that have a path, in their order, without that of type pid (LaunchFds)
//   start (to read), started (to write): the process waits between them (kAwaitStart)
//   gate (to read), with any hook before the start: prestart and createRuntime run while it waits there
//   state: a file with the container's state, for the hooks createContainer and startContainer
//   console: a socket that takes the terminal, where process.terminal is set
//   listener: a socket that takes the seccomp listener, where the filter has one
//   preserved: those that the program gets as 3 and following
struct BundleLaunch {
  Spec spec;              // mounts' sources and the root are absolute
  SeccompFilter seccomp;  // nullptr: unconfined
  size_t preserved = 0;
  bool two_stages = false;    // of a joined PID namespace: enter it without the host's rights
  bool keep_keyring = false;  // the launcher's session keyring instead of a new one
};

// kInvalidArgument for what contradicts itself, as an offset of clocks without a time namespace.
Result<LaunchPlan> PlanBundle(const BundleLaunch& launch);

// What the plan of this spec needs.
bool HasRuntimeHooks(const Spec& spec);
bool HasContainerHooks(const Spec& spec);

// CLONE_NEW* for a namespace's name in config.json; kInvalidArgument.
Result<uint64_t> NamespaceFlag(const std::string& type);

}  // namespace fermata::runtime
