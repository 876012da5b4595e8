// Seccomp profiles to BPF (libseccomp), and the profile RuntimeDefault.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// A finished filter. Immutable, shared.
struct SeccompProgram {
  std::vector<sock_filter> instructions;
  uint64_t flags = 0;     // SECCOMP_FILTER_FLAG_* of seccomp(2)
  bool notifies = false;  // has SCMP_ACT_NOTIFY: whoever launches gets the listener
};
using SeccompFilter = std::shared_ptr<const SeccompProgram>;

// kInvalidArgument for an unknown action, operator or architecture, or when libseccomp refuses the
// profile; a system call that this machine does not know is left out, as other runtimes do.
Result<SeccompFilter> CompileSeccomp(const Seccomp& profile);
// The same as libseccomp writes it, before it is made compact.
Result<std::vector<sock_filter>> ListSeccomp(const Seccomp& profile);

// The words that a profile may have.
std::vector<std::string> SeccompActionNames();
std::vector<std::string> SeccompOperatorNames();
std::vector<std::string> SeccompFlagNames();

// The allow-list for containers that ask for RuntimeDefault. `capabilities` are those of the container
// (CAP_...): system calls that belong to one are allowed with it.
Seccomp DefaultSeccompProfile(const std::vector<std::string>& capabilities);

// Compiles each profile once. Thread-safe. Not bounded: a node sees a handful of profiles.
class SeccompCache {
 public:
  Result<SeccompFilter> Get(const Seccomp& profile);

 private:
  std::mutex mutex_;  // guards filters_; compiling happens outside
  std::map<std::string, SeccompFilter> filters_;
};

}  // namespace fermata::runtime
