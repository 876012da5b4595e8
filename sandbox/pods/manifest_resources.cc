// spec.containers[].resources, as kubelet turns them into limits of a control group
// (kubernetes/pkg/kubelet/cm/helpers_linux.go and kuberuntime_container_linux.go).
#include <algorithm>

#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;
constexpr int64_t kSharesPerCpu = 1024;
constexpr int64_t kMilliPerCpu = 1000;
constexpr int64_t kPeriodUs = 100000;
constexpr int64_t kMinQuotaUs = 1000;
constexpr int64_t kMaxMilliCpu = int64_t{1} << 40;  // far from overflow when multiplied

struct ResourcesDraft {
  ResourceAmounts requests, limits;
};

template <int kScale>
Result<std::optional<int64_t>> ReadAmount(const Node& node) {
  if (node.kind != Node::Kind::kPlain && node.kind != Node::Kind::kText) {
    return BadValue(node, "must be a quantity, not ", TypeName(node));
  }
  auto amount = ParseQuantity(node.scalar, kScale);
  if (!amount) return AtNode(node, amount.error());
  if (kScale == 3 && *amount > kMaxMilliCpu) return BadValue(node, Quoted(node.scalar), " is too large");
  return std::optional(*amount);
}

constexpr Field<ResourceAmounts> kAmountFields[] = {
    {"cpu", Put<&ResourceAmounts::milli_cpu, ReadAmount<3>>},
    {"memory", Put<&ResourceAmounts::memory_bytes, ReadAmount<0>>},
    {"ephemeral-storage", nullptr},
};

// Huge pages and what device plugins offer have names that no list holds.
Result<ResourceAmounts> ReadAmounts(const Node& node) {
  ResourceAmounts amounts;
  RETURN_IF_ERROR(ExpectMap(node));
  Problems problems(node);
  for (const auto& child : node.children) {
    const bool foreign = child->key.starts_with("hugepages-") || child->key.find('/') != std::string::npos;
    problems.Add(foreign ? NotHonoured(*child) : ReadField(*child, kAmountFields, amounts));
  }
  RETURN_IF_ERROR(problems.Done());
  return amounts;
}

constexpr Field<ResourcesDraft> kResourceFields[] = {
    {"requests", Put<&ResourcesDraft::requests, ReadAmounts>},
    {"limits", Put<&ResourcesDraft::limits, ReadAmounts>},
    {"claims", nullptr},
};

Result<> CheckOrder(const Node& node, std::string_view name, const std::optional<int64_t>& request,
                    const std::optional<int64_t>& limit) {
  if (!request || !limit || *request <= *limit) return {};
  return BadValue(node, "the request of ", name, " is above its limit");
}

}  // namespace

Result<> ReadResources(const Node& node, PodContainer& container) {
  ResourcesDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kResourceFields, draft));
  RETURN_IF_ERROR(CheckOrder(node, "cpu", draft.requests.milli_cpu, draft.limits.milli_cpu));
  RETURN_IF_ERROR(CheckOrder(node, "memory", draft.requests.memory_bytes, draft.limits.memory_bytes));
  cgroups::Resources& out = container.spec.resources;
  // A limit alone is the request too.
  if (!draft.requests.milli_cpu) draft.requests.milli_cpu = draft.limits.milli_cpu;
  if (!draft.requests.memory_bytes) draft.requests.memory_bytes = draft.limits.memory_bytes;
  if (const std::optional<int64_t> cpu = draft.requests.milli_cpu) {
    out.cpu_shares = static_cast<uint64_t>(std::clamp(*cpu * kSharesPerCpu / kMilliPerCpu, kMinShares, kMaxShares));
  }
  if (draft.limits.milli_cpu.value_or(0) > 0) {
    out.cpu_period_us = kPeriodUs;
    out.cpu_quota_us = std::max(*draft.limits.milli_cpu * kPeriodUs / kMilliPerCpu, kMinQuotaUs);
  }
  if (draft.limits.memory_bytes.value_or(0) > 0) out.memory_limit_bytes = draft.limits.memory_bytes;
  container.requests = draft.requests;
  container.limits = draft.limits;
  return {};
}

}  // namespace fermata::sandbox::pods
