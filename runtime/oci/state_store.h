// StateStore: what the OCI command line remembers of its containers between two calls: a directory a container below
// the root directory (--root), with state.json, and the two pipes of a container that waits for its start.
// Owns the root directory's descriptor. One thread a process; several processes may work on different containers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "runtime/base/json.h"
#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime::oci {

struct ContainerState {
  std::string id;
  std::string bundle;  // absolute
  pid_t pid = -1;
  uint64_t start_time = 0;         // of the process: with the pid it means that one only
  std::string created;             // RFC 3339
  std::string group;               // below the cgroup2 mount
  bool two_stages = false;         // its PID namespace holds, or may hold, CAP_SYS_PTRACE
  std::vector<std::string> steps;  // of its launch plan, for what fails after the start
  Spec spec;
};

enum class Status : uint8_t { kCreating, kCreated, kRunning, kPaused, kStopped };
std::string_view StatusText(Status status);

class StateStore {
 public:
  // Made if missing, 0700.
  static Result<StateStore> Open(const std::string& root);

  // A new, empty directory. kAlreadyExists; kInvalidArgument for what is no id.
  Result<UniqueFd> Create(const std::string& id);
  // kNotFound.
  Result<UniqueFd> OpenDirectory(const std::string& id);
  Result<> Save(int directory, const ContainerState& state);
  Result<ContainerState> Load(const std::string& id);
  Result<> Remove(const std::string& id);
  Result<std::vector<std::string>> List();

 private:
  explicit StateStore(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

inline constexpr const char* kStartPipe = "start";      // a byte: go
inline constexpr const char* kStartedPipe = "started";  // end of file: the program runs

// The process; nullopt if it has ended.
std::optional<Pidfd> ProcessOf(const ContainerState& state);
Result<Status> StatusOf(StateStore& store, const ContainerState& state);
Result<cgroups::Cgroup> GroupOf(const ContainerState& state);

// The state as runtime-spec's runtime.md has it: what hooks read and `state` prints.
Json StateJson(const ContainerState& state, Status status);

}  // namespace fermata::runtime::oci
