#include "cri/convert.h"

#include <algorithm>
#include <csignal>
#include <string_view>

#include "cri/convert_internal.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri {
namespace {

using convert::Invalid;

constexpr int64_t kMinPeriodUs = 1000;  // kernel/sched/core.c: min_cfs_quota_period, max_cfs_quota_period
constexpr int64_t kMaxPeriodUs = 1000000;
constexpr int64_t kMinQuotaUs = 1000;

struct NumberRule {
  const char* field;
  int64_t (*value)(const v1::LinuxContainerResources&);
  int64_t least, most;
  bool (*exempt)(int64_t);  // values outside that have a meaning of their own
};

bool IsZero(int64_t value) { return value == 0; }
bool IsNone(int64_t value) { return value == 0 || value == -1; }

constexpr NumberRule kNumberRules[] = {
    {"cpu_period", [](const v1::LinuxContainerResources& r) { return r.cpu_period(); }, kMinPeriodUs, kMaxPeriodUs,
     IsZero},
    {"cpu_quota", [](const v1::LinuxContainerResources& r) { return r.cpu_quota(); }, kMinQuotaUs, INT64_MAX, IsNone},
    {"cpu_shares", [](const v1::LinuxContainerResources& r) { return r.cpu_shares(); }, 0, INT64_MAX, IsZero},
    {"memory_limit_in_bytes", [](const v1::LinuxContainerResources& r) { return r.memory_limit_in_bytes(); }, 1,
     INT64_MAX, IsNone},
    {"memory_swap_limit_in_bytes", [](const v1::LinuxContainerResources& r) { return r.memory_swap_limit_in_bytes(); },
     1, INT64_MAX, IsNone},
    {"oom_score_adj", [](const v1::LinuxContainerResources& r) { return r.oom_score_adj(); }, -1000, 1000, IsZero},
};

Result<> CheckNumbers(const v1::LinuxContainerResources& resources) {
  for (const NumberRule& rule : kNumberRules) {
    const int64_t value = rule.value(resources);
    if (!rule.exempt(value) && (value < rule.least || value > rule.most)) {
      return Invalid(rule.field, ": ", std::to_string(value), " is out of range");
    }
  }
  return {};
}

// "0-3,7"; the kernel has the last word about what is there.
Result<> CheckCpuList(std::string_view field, const std::string& list) {
  if (list.find_first_not_of("0123456789,-") == std::string::npos) return {};
  return Invalid(field, ": ", sandbox::Quoted(list), " is no list like 0-3,7");
}

std::optional<int64_t> UnlessZero(int64_t value) {
  if (value == 0) return std::nullopt;
  return value;
}

Result<std::map<std::string, uint64_t>> ReadHugepages(const v1::LinuxContainerResources& resources) {
  std::map<std::string, uint64_t> limits;
  for (const v1::HugepageLimit& limit : resources.hugepage_limits()) {
    if (!limits.emplace(limit.page_size(), limit.limit()).second) {
      return Invalid("hugepage_limits: ", sandbox::Quoted(limit.page_size()), " is given twice");
    }
  }
  return limits;
}

struct SignalRow {
  v1::Signal signal;
  int number;
};
// Of two names for one number the first is the one reported.
constexpr SignalRow kSignals[] = {
    {v1::SIGNAL_SIGABRT, SIGABRT},     {v1::SIGNAL_SIGALRM, SIGALRM},     {v1::SIGNAL_SIGBUS, SIGBUS},
    {v1::SIGNAL_SIGCHLD, SIGCHLD},     {v1::SIGNAL_SIGCLD, SIGCHLD},      {v1::SIGNAL_SIGCONT, SIGCONT},
    {v1::SIGNAL_SIGFPE, SIGFPE},       {v1::SIGNAL_SIGHUP, SIGHUP},       {v1::SIGNAL_SIGILL, SIGILL},
    {v1::SIGNAL_SIGINT, SIGINT},       {v1::SIGNAL_SIGIO, SIGIO},         {v1::SIGNAL_SIGIOT, SIGABRT},
    {v1::SIGNAL_SIGKILL, SIGKILL},     {v1::SIGNAL_SIGPIPE, SIGPIPE},     {v1::SIGNAL_SIGPOLL, SIGIO},
    {v1::SIGNAL_SIGPROF, SIGPROF},     {v1::SIGNAL_SIGPWR, SIGPWR},       {v1::SIGNAL_SIGQUIT, SIGQUIT},
    {v1::SIGNAL_SIGSEGV, SIGSEGV},     {v1::SIGNAL_SIGSTKFLT, SIGSTKFLT}, {v1::SIGNAL_SIGSTOP, SIGSTOP},
    {v1::SIGNAL_SIGSYS, SIGSYS},       {v1::SIGNAL_SIGTERM, SIGTERM},     {v1::SIGNAL_SIGTRAP, SIGTRAP},
    {v1::SIGNAL_SIGTSTP, SIGTSTP},     {v1::SIGNAL_SIGTTIN, SIGTTIN},     {v1::SIGNAL_SIGTTOU, SIGTTOU},
    {v1::SIGNAL_SIGURG, SIGURG},       {v1::SIGNAL_SIGUSR1, SIGUSR1},     {v1::SIGNAL_SIGUSR2, SIGUSR2},
    {v1::SIGNAL_SIGVTALRM, SIGVTALRM}, {v1::SIGNAL_SIGWINCH, SIGWINCH},   {v1::SIGNAL_SIGXCPU, SIGXCPU},
    {v1::SIGNAL_SIGXFSZ, SIGXFSZ},
};
// SIGRTMIN is 34 for programs (the C library keeps two), SIGRTMAX 64; the enum lists all 31 in their order.
constexpr int kFirstRealTime = 34;
constexpr int kLastRealTime = 64;
constexpr int kRealTimeOffset = v1::SIGNAL_SIGRTMIN - kFirstRealTime;
static_assert(v1::SIGNAL_SIGRTMAX - kRealTimeOffset == kLastRealTime);

bool HasLabels(const std::map<std::string, std::string>& labels,
               const google::protobuf::Map<std::string, std::string>& selector) {
  return std::all_of(selector.begin(), selector.end(), [&labels](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

}  // namespace

Result<cgroups::Resources> FromProto(const v1::LinuxContainerResources& resources) {
  RETURN_IF_ERROR(convert::CheckStrings(resources));
  RETURN_IF_ERROR(CheckNumbers(resources));
  RETURN_IF_ERROR(CheckCpuList("cpuset_cpus", resources.cpuset_cpus()));
  RETURN_IF_ERROR(CheckCpuList("cpuset_mems", resources.cpuset_mems()));
  cgroups::Resources out;
  out.cpu_shares = static_cast<uint64_t>(resources.cpu_shares());
  out.cpu_quota_us = UnlessZero(resources.cpu_quota());
  out.cpu_period_us = static_cast<uint64_t>(resources.cpu_period());
  out.cpuset_cpus = resources.cpuset_cpus();
  out.cpuset_mems = resources.cpuset_mems();
  out.memory_limit_bytes = UnlessZero(resources.memory_limit_in_bytes());
  out.swap_limit_bytes = UnlessZero(resources.memory_swap_limit_in_bytes());
  ASSIGN_OR_RETURN(out.hugepage_limits, ReadHugepages(resources));
  out.unified = convert::ToMap(resources.unified());
  return out;
}

Result<std::optional<int>> OomScoreAdj(const v1::LinuxContainerResources& resources) {
  RETURN_IF_ERROR(CheckNumbers(resources));
  if (resources.oom_score_adj() == 0) return std::optional<int>();
  return std::optional<int>(static_cast<int>(resources.oom_score_adj()));
}

bool Matches(const v1::PodSandboxFilter& filter, const sandbox::SandboxRecord& record) {
  if (record.state == sandbox::SandboxState::kCreating) return false;
  const auto state = record.state == sandbox::SandboxState::kReady ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY;
  return record.id.str().starts_with(filter.id()) && (!filter.has_state() || filter.state().state() == state) &&
         HasLabels(record.spec.labels, filter.label_selector());
}

bool Matches(const v1::ContainerFilter& filter, const sandbox::ContainerRecord& record) {
  return record.id.str().starts_with(filter.id()) && record.sandbox.str().starts_with(filter.pod_sandbox_id()) &&
         (!filter.has_state() || filter.state().state() == ToContainer(record).state()) &&
         HasLabels(record.spec.labels, filter.label_selector());
}

std::optional<int> SignalNumber(v1::Signal signal) {
  if (signal == v1::SIGNAL_RUNTIME_DEFAULT) return 0;
  if (signal >= v1::SIGNAL_SIGRTMIN && signal <= v1::SIGNAL_SIGRTMAX) return signal - kRealTimeOffset;
  for (const SignalRow& row : kSignals) {
    if (row.signal == signal) return row.number;
  }
  return std::nullopt;
}

v1::Signal ToSignal(int number) {
  if (number >= kFirstRealTime && number <= kLastRealTime) return static_cast<v1::Signal>(number + kRealTimeOffset);
  for (const SignalRow& row : kSignals) {
    if (row.number == number) return row.signal;
  }
  return v1::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace fermata::cri
