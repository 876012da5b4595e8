#include "cri/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace fermata::cri {
namespace {

constexpr std::array kNotNeeded = {CAP_LINUX_IMMUTABLE, CAP_NET_BROADCAST,  CAP_IPC_LOCK,      CAP_IPC_OWNER,
                                   CAP_SYS_MODULE,      CAP_SYS_RAWIO,      CAP_SYS_PACCT,     CAP_SYS_BOOT,
                                   CAP_SYS_TIME,        CAP_SYS_TTY_CONFIG, CAP_LEASE,         CAP_AUDIT_CONTROL,
                                   CAP_AUDIT_READ,      CAP_MAC_OVERRIDE,   CAP_MAC_ADMIN,     CAP_SYSLOG,
                                   CAP_WAKE_ALARM,      CAP_PERFMON,        CAP_BLOCK_SUSPEND, CAP_CHECKPOINT_RESTORE};

}  // namespace

Result<> DropPrivileges() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return Error::Errno("prctl PR_SET_DUMPABLE");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return Error::Errno("capget");
  for (const int capability : kNotNeeded) {
    __user_cap_data_struct& set = sets[CAP_TO_INDEX(capability)];
    set.effective &= ~CAP_TO_MASK(capability);
    set.permitted &= ~CAP_TO_MASK(capability);
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return Error::Errno("capset");
  return {};
}

}  // namespace fermata::cri
