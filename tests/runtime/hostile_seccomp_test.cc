// Rows S-01 to S-06 of the threat table: what filters answer, by an interpreter of their instructions.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>

#include "runtime/launch/seccomp.h"
#include "tests/fixtures/seccomp_answer.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using testing::SeccompAnswer;

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t Refusal(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

struct Abi {
  const char* name;
  uint32_t audit, scmp, bit;
};
#if defined(__x86_64__)
constexpr Abi kAbis[] = {{"x86-64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0},
                         {"i386", AUDIT_ARCH_I386, SCMP_ARCH_X86, 0},
                         {"x32", AUDIT_ARCH_X86_64, SCMP_ARCH_X32, kX32Bit}};
constexpr uint32_t kForeignArch = AUDIT_ARCH_AARCH64;
#else
constexpr Abi kAbis[] = {{"arm64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0}};
constexpr uint32_t kForeignArch = AUDIT_ARCH_X86_64;
#endif

std::vector<sock_filter> Compiled(const Seccomp& profile) {
  const auto filter = CompileSeccomp(profile);
  EXPECT_OK(filter);
  return filter ? (*filter)->instructions : std::vector<sock_filter>();
}

uint32_t Answer(const std::vector<sock_filter>& filter, const Abi& abi, const char* call, uint64_t argument = 0) {
  const int number = ::seccomp_syscall_resolve_name_arch(abi.scmp, call);
  if (number < 0) return Refusal(ENOENT);  // that ABI has no such call
  seccomp_data data{};
  data.nr = number;
  data.arch = abi.audit;
  data.args[0] = argument;
  const auto answer = SeccompAnswer(filter, data);
  EXPECT_TRUE(answer.has_value()) << call;
  return answer.value_or(0);
}

TEST(HostileSeccomp, S01EveryAbiIsHeldToTheProfile) {
  const auto filter = Compiled(DefaultSeccompProfile({}));
  for (const Abi& abi : kAbis) {
    SCOPED_TRACE(abi.name);
    EXPECT_EQ(Answer(filter, abi, "read"), kAllow);
    for (const char* call : {"mount", "unshare", "bpf", "kexec_load", "init_module", "setns", "open_by_handle_at"}) {
      EXPECT_EQ(Answer(filter, abi, call), Refusal(EPERM)) << call;
    }
  }
}

TEST(HostileSeccomp, S01AnUnknownArchitectureIsKilledOrRefused) {
  Seccomp one = DefaultSeccompProfile({});
  for (const bool all_known : {true, false}) {
    if (!all_known) one.architectures.clear();  // the machine's own alone
    const auto filter = Compiled(one);
    for (const uint32_t arch : {kForeignArch, uint32_t{AUDIT_ARCH_S390X}, 0U, ~0U}) {
      for (const int number : {0, 1, 57, 59, 165}) {
        seccomp_data data{};
        data.nr = number;
        data.arch = arch;
        EXPECT_NE(SeccompAnswer(filter, data), kAllow) << arch;
      }
    }
    if (all_known) continue;
    for (const Abi& abi : kAbis) {
      if (abi.scmp != kAbis[0].scmp) {
        EXPECT_NE(Answer(filter, abi, "read"), kAllow) << abi.name << " is not listed";
      }
    }
  }
}

struct Operator {
  const char* name;
  bool (*holds)(uint64_t argument, uint64_t value, uint64_t value_two);
};
constexpr Operator kOperators[] = {
    {"SCMP_CMP_NE", [](uint64_t a, uint64_t v, uint64_t) { return a != v; }},
    {"SCMP_CMP_LT", [](uint64_t a, uint64_t v, uint64_t) { return a < v; }},
    {"SCMP_CMP_LE", [](uint64_t a, uint64_t v, uint64_t) { return a <= v; }},
    {"SCMP_CMP_EQ", [](uint64_t a, uint64_t v, uint64_t) { return a == v; }},
    {"SCMP_CMP_GE", [](uint64_t a, uint64_t v, uint64_t) { return a >= v; }},
    {"SCMP_CMP_GT", [](uint64_t a, uint64_t v, uint64_t) { return a > v; }},
    {"SCMP_CMP_MASKED_EQ", [](uint64_t a, uint64_t v, uint64_t two) { return (a & v) == two; }},
};
constexpr uint64_t kBoundaries[] = {
    0,           1,          0x7fffffff,         0x80000000,         0xfffffffe, 0xffffffff, 1ULL << 32,
    0x100000001, 1ULL << 33, 0x7fffffffffffffff, 0x8000000000000000, ~1ULL,      ~0ULL};

Seccomp RuleOf(std::vector<std::vector<SeccompArgument>> alternatives) {
  Seccomp profile{.default_action = "SCMP_ACT_ERRNO", .default_errno_ret = EPERM, .rules = {}};
  for (auto& arguments : alternatives) {
    profile.rules.push_back({{"personality"}, "SCMP_ACT_ALLOW", std::nullopt, std::move(arguments)});
  }
  return profile;
}

TEST(HostileSeccomp, S02EveryComparisonAgreesWithArithmeticAtTheBoundariesOf64Bits) {
  for (const Operator& op : kOperators) {
    for (const uint64_t value : kBoundaries) {
      const uint64_t two = value & 0xffff0000ffff;
      const auto filter = Compiled(RuleOf({{{0, value, two, op.name}}}));
      for (const uint64_t argument : kBoundaries) {
        EXPECT_EQ(Answer(filter, kAbis[0], "personality", argument) == kAllow, op.holds(argument, value, two))
            << op.name << " " << argument << " with " << value;
      }
    }
  }
}

TEST(HostileSeccomp, S02ConditionsOfARuleAreAndAndRulesAreOr) {
  const auto filter = Compiled(RuleOf({{{0, 10, 0, "SCMP_CMP_GE"}, {1, 5, 0, "SCMP_CMP_EQ"}},
                                       {{0, 3, 0, "SCMP_CMP_EQ"}},
                                       {{1, 1ULL << 40, 0, "SCMP_CMP_GT"}, {2, 1, 1, "SCMP_CMP_MASKED_EQ"}}}));
  const int number = ::seccomp_syscall_resolve_name("personality");
  for (const uint64_t a : {0ULL, 3ULL, 9ULL, 10ULL, ~0ULL}) {
    for (const uint64_t b : {0ULL, 5ULL, 1ULL << 40, (1ULL << 40) + 1, ~0ULL}) {
      for (const uint64_t c : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}}) {
        seccomp_data data{number, kAbis[0].audit, 0, {a, b, c, 0, 0, 0}};
        const bool expected = (a >= 10 && b == 5) || a == 3 || (b > 1ULL << 40 && (c & 1) == 1);
        EXPECT_EQ(SeccompAnswer(filter, data) == kAllow, expected) << a << " " << b << " " << c;
      }
    }
  }
}

TEST(HostileSeccomp, S03CallsNewerThanTheProfileDoNotExistAndOlderOnesAreForbidden) {
  const auto filter = Compiled(DefaultSeccompProfile({}));
  const Abi& abi = kAbis[0];
  EXPECT_EQ(Answer(filter, abi, "clone3"), Refusal(ENOSYS));
  EXPECT_EQ(Answer(filter, abi, "swapon"), Refusal(EPERM));
  EXPECT_EQ(Answer(filter, abi, "kexec_file_load"), Refusal(EPERM));
  for (const int number : {600, 1000, 100'000}) {
    seccomp_data data{};
    data.nr = number;
    data.arch = abi.audit;
    EXPECT_EQ(SeccompAnswer(filter, data), Refusal(ENOSYS)) << number;
  }
}

// Of each capability its calls, and of nobody the rest.
TEST(HostileSeccomp, S04SixtyDangerousCallsNeedTheirCapability) {
  struct Row {
    const char* capability;  // nullptr: none gives it
    std::vector<const char*> calls;
  };
  const Row rows[] = {
      {nullptr, {"add_key",        "keyctl",
                 "request_key",    "userfaultfd",
                 "kexec_load",     "kexec_file_load",
                 "swapon",         "swapoff",
                 "nfsservctl",     "uselib",
                 "vm86",           "io_uring_setup",
                 "io_uring_enter", "io_uring_register",
                 "move_pages",     "create_module",
                 "query_module",   "get_kernel_syms",
                 "_sysctl",        "sysfs",
                 "ustat",          "pivot_root"}},
      {"CAP_SYS_ADMIN",
       {"mount",          "umount2",       "move_mount",  "open_tree",     "fsopen", "fsconfig",        "fsmount",
        "fspick",         "mount_setattr", "setns",       "unshare",       "bpf",    "perf_event_open", "fanotify_init",
        "lookup_dcookie", "quotactl",      "sethostname", "setdomainname", "syslog", "clone3"}},
      {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
      {"CAP_SYS_BOOT", {"reboot"}},
      {"CAP_SYS_CHROOT", {"chroot"}},
      {"CAP_SYS_MODULE", {"init_module", "finit_module", "delete_module"}},
      {"CAP_SYS_PACCT", {"acct"}},
      {"CAP_SYS_PTRACE", {"kcmp", "process_madvise"}},
      {"CAP_SYS_RAWIO", {"iopl", "ioperm"}},
      {"CAP_SYS_TIME", {"settimeofday", "clock_settime"}},
      {"CAP_SYS_NICE", {"mbind", "set_mempolicy", "get_mempolicy"}},
      {"CAP_BPF", {"bpf"}},
      {"CAP_PERFMON", {"perf_event_open"}},
      {"CAP_SYSLOG", {"syslog"}},
  };
  const auto plain = Compiled(DefaultSeccompProfile({}));
  size_t count = 0;
  for (const Row& row : rows) {
    const auto with = Compiled(DefaultSeccompProfile({row.capability == nullptr ? "CAP_CHOWN" : row.capability}));
    for (const char* call : row.calls) {
      if (::seccomp_syscall_resolve_name(call) < 0) continue;  // not on this machine
      ++count;
      EXPECT_NE(Answer(plain, kAbis[0], call), kAllow) << call;
      EXPECT_EQ(Answer(with, kAbis[0], call) == kAllow, row.capability != nullptr) << call;
    }
  }
  EXPECT_GE(count, 50U);
}

TEST(HostileSeccomp, S05AlgAndVsockSocketsAreForbiddenAndOthersAreNot) {
  const auto filter = Compiled(DefaultSeccompProfile({}));
  for (uint64_t family = 0; family < 64; ++family) {
    const bool forbidden = family == AF_ALG || family == AF_VSOCK;
    EXPECT_EQ(Answer(filter, kAbis[0], "socket", family) == kAllow, !forbidden) << family;
  }
  for (const Abi& abi : kAbis) {
    if (std::string_view(abi.name) == "i386") {
      EXPECT_EQ(Answer(filter, abi, "socketcall", 1), kAllow);
    }
  }
}

TEST(HostileSeccomp, S06ANewUserNamespaceNeedsSysAdmin) {
  const auto plain = Compiled(DefaultSeccompProfile({}));
  const auto admin = Compiled(DefaultSeccompProfile({"CAP_SYS_ADMIN"}));
  for (const uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS}) {
    EXPECT_EQ(Answer(plain, kAbis[0], "clone", flag | SIGCHLD), Refusal(EPERM)) << flag;
    EXPECT_EQ(Answer(plain, kAbis[0], "unshare", flag), Refusal(EPERM)) << flag;
    EXPECT_EQ(Answer(admin, kAbis[0], "clone", flag | SIGCHLD), kAllow) << flag;
  }
  EXPECT_EQ(Answer(plain, kAbis[0], "clone", CLONE_VM | CLONE_THREAD | CLONE_SIGHAND), kAllow);
}

}  // namespace
}  // namespace fermata::runtime
