#include "runtime/launch/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/launch/seccomp_compact.h"

namespace fermata::runtime {
namespace {

struct FreeFilter {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, FreeFilter>;

constexpr uint64_t kWaitKillable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
constexpr std::string_view kNotify = "SCMP_ACT_NOTIFY";

template <typename Value>
using Names = std::pair<std::string_view, Value>;

constexpr std::array kOperators = {Names<scmp_compare>{"SCMP_CMP_NE", SCMP_CMP_NE},
                                   Names<scmp_compare>{"SCMP_CMP_LT", SCMP_CMP_LT},
                                   Names<scmp_compare>{"SCMP_CMP_LE", SCMP_CMP_LE},
                                   Names<scmp_compare>{"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                   Names<scmp_compare>{"SCMP_CMP_GE", SCMP_CMP_GE},
                                   Names<scmp_compare>{"SCMP_CMP_GT", SCMP_CMP_GT},
                                   Names<scmp_compare>{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

// With the number that it takes, if it takes one, left out.
constexpr std::array kActions = {Names<uint32_t>{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
                                 Names<uint32_t>{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
                                 Names<uint32_t>{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
                                 Names<uint32_t>{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
                                 Names<uint32_t>{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
                                 Names<uint32_t>{"SCMP_ACT_LOG", SCMP_ACT_LOG},
                                 Names<uint32_t>{kNotify, SCMP_ACT_NOTIFY},
                                 Names<uint32_t>{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
                                 Names<uint32_t>{"SCMP_ACT_TRAP", SCMP_ACT_TRAP}};
bool TakesNumber(uint32_t action) { return action == SCMP_ACT_ERRNO(0) || action == SCMP_ACT_TRACE(0); }

// SECCOMP_FILTER_FLAG_TSYNC changes nothing: the process has one thread when the filter is loaded.
constexpr std::array kFlags = {Names<uint64_t>{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
                               Names<uint64_t>{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
                               Names<uint64_t>{"SECCOMP_FILTER_FLAG_TSYNC", 0},
                               Names<uint64_t>{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", kWaitKillable}};

template <typename Table>
std::vector<std::string> NamesOf(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.first);
  return names;
}

Error Invalid(std::string_view what, std::string_view name) {
  return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: unknown ", what, " ", name);
}

// What libseccomp does not take is wrong in the profile, whatever it calls that, unless memory is short.
Error Refused(int number, std::string_view what, std::string_view name) {
  const ErrorCode code = number == ENOMEM ? ErrorCode::kResourceExhausted : ErrorCode::kInvalidArgument;
  return Error::FromErrno(number, "seccomp profile: ", what, " ", name).WithCode(code);
}

Result<uint32_t> ActionOf(const std::string& name, const std::optional<uint32_t>& errno_ret) {
  const uint32_t error = errno_ret.value_or(EPERM);
  if (error > 4095) return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: errnoRet is over 4095");
  const auto* found = std::ranges::find(kActions, name, &Names<uint32_t>::first);
  if (found != kActions.end()) return found->second | (TakesNumber(found->second) ? error : 0);
  return Invalid("action", name);
}

Result<scmp_compare> OperatorOf(const std::string& name) {
  const auto* found =
      std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& o) { return o.first == name; });
  if (found == kOperators.end()) return Invalid("operator", name);
  return found->second;
}

Result<uint64_t> FlagsOf(const std::vector<std::string>& names) {
  uint64_t flags = 0;
  for (const std::string& name : names) {
    const auto* found = std::ranges::find(kFlags, name, &Names<uint64_t>::first);
    if (found == kFlags.end()) return Invalid("flag", name);
    flags |= found->second;
  }
  return flags;
}

Result<> AddArchitectures(scmp_filter_ctx context, const std::vector<std::string>& names) {
  constexpr std::string_view kPrefix = "SCMP_ARCH_";
  for (const std::string& name : names) {
    std::string lower = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const uint32_t token = seccomp_arch_resolve_name(lower.c_str());
    if (token == 0) return Invalid("architecture", name);
    if (const int done = seccomp_arch_add(context, token); done != 0 && done != -EEXIST) {
      return Refused(-done, "architecture", name);
    }
  }
  return {};
}

Result<> AddRule(scmp_filter_ctx context, const SeccompRule& rule, uint32_t default_action) {
  ASSIGN_OR_RETURN(const uint32_t action, ActionOf(rule.action, rule.errno_ret));
  if (action == default_action) return {};  // libseccomp refuses a rule that changes nothing
  std::vector<scmp_arg_cmp> arguments;
  for (const SeccompArgument& argument : rule.args) {
    ASSIGN_OR_RETURN(const scmp_compare compare, OperatorOf(argument.op));
    if (argument.index > 5) return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: argument index over 5");
    arguments.push_back({argument.index, compare, argument.value, argument.value_two});
  }
  for (const std::string& name : rule.names) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    const int done =
        seccomp_rule_add_array(context, action, number, static_cast<unsigned>(arguments.size()), arguments.data());
    if (done != 0 && done != -EEXIST) {
      return Refused(-done, "rule for", name);
    }
  }
  return {};
}

// The listener leaves the process by sendmsg(2) while nobody answers yet: that call must not wait for an answer.
Result<bool> Notifies(const Seccomp& profile) {
  if (profile.default_action == kNotify) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: ", kNotify, " cannot be the default action");
  }
  bool notifies = false;
  for (const SeccompRule& rule : profile.rules) {
    if (rule.action != kNotify) continue;
    notifies = true;
    if (std::ranges::find(rule.names, "sendmsg") == rule.names.end()) continue;
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: ", kNotify,
                       " for sendmsg, by which the listener is handed on");
  }
  return notifies;
}

// libseccomp writes the program to a descriptor only.
Result<std::vector<sock_filter>> Export(scmp_filter_ctx context) {
  const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return Error::Errno("memfd_create seccomp");
  if (const int done = seccomp_export_bpf(context, file.get()); done != 0) {
    return Error::FromErrno(-done, "seccomp profile: export");
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return Error::Errno("lseek seccomp");
  ASSIGN_OR_RETURN(const std::string program, ReadAll(file.get()), "seccomp");
  std::vector<sock_filter> instructions(program.size() / sizeof(sock_filter));
  std::memcpy(instructions.data(), program.data(), instructions.size() * sizeof(sock_filter));
  return instructions;
}

#if defined(__x86_64__)
constexpr uint32_t kNativeArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kNativeArch = AUDIT_ARCH_AARCH64;
#endif
constexpr uint32_t kX32Bit = 0x40000000;  // of call numbers that share AUDIT_ARCH_X86_64

// A call that is newer than all that the profile names does not exist: libraries try a new call first, and fall back
// on ENOSYS only. For the machine's own ABI, and profiles that refuse by an errno.
void PrependNewCalls(const Seccomp& profile, std::vector<sock_filter>& program) {
  if (profile.default_action != "SCMP_ACT_ERRNO") return;
  int newest = -1;
  for (const SeccompRule& rule : profile.rules) {
    for (const std::string& name : rule.names) newest = std::max(newest, seccomp_syscall_resolve_name(name.c_str()));
  }
  if (newest < 0) return;
  const sock_filter head[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNativeArch, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(newest), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  program.insert(program.begin(), std::begin(head), std::end(head));
}

// Two profiles with the same key compile to the same filter. Every word has its length in front, for
// they are foreign and may hold what would separate them.
class Key {
 public:
  Key& Add(std::string_view word) {
    text_.append(std::to_string(word.size())).append(":").append(word);
    return *this;
  }
  Key& Add(uint64_t number) { return Add(std::to_string(number)); }
  Key& Add(const std::vector<std::string>& words) {
    Add(words.size());
    for (const std::string& word : words) Add(word);
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string KeyOf(const Seccomp& profile) {
  Key key;
  key.Add(profile.default_action).Add(profile.default_errno_ret.value_or(EPERM));
  key.Add(profile.architectures).Add(profile.flags).Add(profile.rules.size());
  for (const SeccompRule& rule : profile.rules) {
    key.Add(rule.action).Add(rule.errno_ret.value_or(EPERM)).Add(rule.names).Add(rule.args.size());
    for (const SeccompArgument& a : rule.args) key.Add(a.op).Add(a.index).Add(a.value).Add(a.value_two);
  }
  return key.text();
}

}  // namespace

std::vector<std::string> SeccompActionNames() { return NamesOf(kActions); }
std::vector<std::string> SeccompOperatorNames() { return NamesOf(kOperators); }
std::vector<std::string> SeccompFlagNames() { return NamesOf(kFlags); }

Result<std::vector<sock_filter>> ListSeccomp(const Seccomp& profile) {
  ASSIGN_OR_RETURN(const uint32_t fallback, ActionOf(profile.default_action, profile.default_errno_ret));
  const Context context(seccomp_init(fallback));
  if (context == nullptr) return Error::Make(ErrorCode::kInternal, "seccomp_init");
  // The daemon decides about no_new_privs, not the library; a call made by another ABI is an error for
  // that call, not death, unless the profile names the ABI; a binary tree keeps the filter's cost flat.
  (void)seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  (void)seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  RETURN_IF_ERROR(AddArchitectures(context.get(), profile.architectures));
  for (const SeccompRule& rule : profile.rules) RETURN_IF_ERROR(AddRule(context.get(), rule, fallback));
  return Export(context.get());
}

Result<SeccompFilter> CompileSeccomp(const Seccomp& profile) {
  ASSIGN_OR_RETURN(const std::vector<sock_filter> listed, ListSeccomp(profile));
  SeccompProgram program{CompactFilter(listed)};
  PrependNewCalls(profile, program.instructions);
  ASSIGN_OR_RETURN(program.flags, FlagsOf(profile.flags));
  ASSIGN_OR_RETURN(program.notifies, Notifies(profile));
  if (!program.notifies && (program.flags & kWaitKillable) != 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a ",
                       "rule with ", kNotify);
  }
  if (const size_t size = program.instructions.size(); size == 0 || size > BPF_MAXINSNS) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp profile: compiles to ", std::to_string(size),
                       " instructions, the kernel takes 1 to ", std::to_string(BPF_MAXINSNS));
  }
  return std::make_shared<const SeccompProgram>(std::move(program));
}

Result<SeccompFilter> SeccompCache::Get(const Seccomp& profile) {
  const std::string key = KeyOf(profile);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = filters_.find(key); found != filters_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(SeccompFilter filter, CompileSeccomp(profile));
  const std::lock_guard lock(mutex_);
  return filters_.emplace(key, std::move(filter)).first->second;
}

}  // namespace fermata::runtime
