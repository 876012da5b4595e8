// Renders who a process is (ids, capabilities, limits, seccomp) and what it executes into plan steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/container_plan.h"

namespace fermata::runtime {

// Bit mask of capability names; kInvalidArgument names the one that is unknown.
Result<uint64_t> CapabilityMask(const std::vector<std::string>& names);

// Names of all capabilities that this machine's libcap and kernel know.
std::vector<std::string> KnownCapabilities();

// Limits, oom score, session: while the process still has the host's rights and sees the host's /proc.
Result<> AddEarlySteps(PlanBuilder& plan, const Process& process, bool keep_keyring = false);

// Pipes among the standard streams belong to the process's user, whom `user` maps. Before a user namespace is joined,
// which does not own them. kInvalidArgument when the user is not mapped.
Result<> AddStdioOwner(PlanBuilder& plan, const Process& process, const std::optional<UserMappings>& user);

// `count` slots for descriptors of the launcher; the first of them, kNoSlot for none.
int16_t AddGiven(PlanBuilder& plan, size_t count);

// A terminal becomes the standard streams. AddIdentitySteps makes it the controlling one.
void AddTerminalStreams(PlanBuilder& plan, const Process& process, int16_t terminal);
// In a container that exists: a new one of its /dev/pts; gives its slot.
int16_t AddExecTerminal(PlanBuilder& plan, const Process& process, int16_t console);

// Where the process waits for its start, and what runs then.
struct StartGate {
  int16_t start = kNoSlot, started = kNoSlot;  // see kAwaitStart
  const std::vector<Hook>* hooks = nullptr;    // startContainer
  int16_t state = kNoSlot;                     // what they read
};

struct IdentityOptions {
  SeccompFilter seccomp;      // nullptr: unconfined
  bool second_stage = false;  // everything is dropped before the PID namespace is entered
  const StartGate* gate = nullptr;
  int16_t terminal = kNoSlot;   // becomes the controlling one
  int16_t listener = kNoSlot;   // socket that takes the seccomp listener
  int16_t preserved = kNoSlot;  // first of the slots that the program keeps
  size_t preserved_count = 0;
};

// Groups, ids, capabilities, seccomp, the second stage if wanted, and the program.
// The filter comes last; without no_new_privs it needs CAP_SYS_ADMIN, which execve takes away again.
Result<> AddIdentitySteps(PlanBuilder& plan, const Process& process, const IdentityOptions& options);

// One program that the new process runs and waits for; `state` is its standard input.
void AddHook(PlanBuilder& plan, const Hook& hook, int16_t state, std::string_view point);

}  // namespace fermata::runtime
