#include "runtime/launch/plan_format.h"

#include <algorithm>
#include <cstring>

namespace fermata::runtime {
namespace {

constexpr uint64_t kFilterInstructionBytes = 8;  // struct sock_filter
constexpr uint64_t kMaxHookTexts = 4096;         // arguments, and variables, of one hook

// The bytes behind the steps, and what may be asked of them.
struct Bytes {
  const char* data;
  uint32_t size;

  [[nodiscard]] bool HasText(uint32_t position) const {
    return position == kNoText || (position < size && std::memchr(data + position, 0, size - position) != nullptr);
  }
  [[nodiscard]] bool HasArray(uint32_t position, uint64_t count, uint64_t element_bytes) const {
    if (count == 0) return true;
    return position % 8 == 0 && position <= size && count <= (size - position) / element_bytes;
  }
  // An array of positions of texts.
  [[nodiscard]] bool HasTexts(uint32_t position, uint32_t count) const {
    if (!HasArray(position, count, sizeof(uint32_t))) return false;
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t text = kNoText;
      std::memcpy(&text, data + position + i * sizeof text, sizeof text);
      if (text == kNoText || !HasText(text)) return false;
    }
    return true;
  }
};

bool SlotInRange(int16_t slot) { return slot >= kNoSlot && slot < kMaxSlots; }

constexpr unsigned kFd = 1, kFd2 = 2, kOut = 4, kText = 8, kText2 = 16;

// The fields that the child uses without asking whether they are there.
unsigned NeededFields(Op op) {
  switch (op) {
    case Op::kOpenTree:
    case Op::kFsOpen:
      return kText | kOut;
    case Op::kSetAttributes:
    case Op::kMoveMount:
    case Op::kPivotRoot:
    case Op::kClose:
    case Op::kSetns:
    case Op::kGate:
    case Op::kControllingTerminal:
    case Op::kTerminalStreams:
    case Op::kPreserve:
      return kFd;
    case Op::kAwaitStart:
      return kFd | kFd2;
    case Op::kTerminal:
      return kFd2 | kOut;
    case Op::kCopyUp:
      return kFd | kFd2 | kText;
    case Op::kHook:
      return kFd | kText;
    case Op::kFsConfig:
    case Op::kMakeDirectory:
    case Op::kMakeNode:
    case Op::kReadonlyPath:
      return kFd | kText;
    case Op::kFsMount:
      return kFd | kOut;
    case Op::kOpenTarget:
      return kFd | kText | kOut;
    case Op::kMakeSymlink:
    case Op::kSysctl:
      return kFd | kText | kText2;
    case Op::kMaskPath:
      return kFd | kFd2 | kOut | kText;
    case Op::kChangeDirectory:
    case Op::kChangeDirectoryHost:
    case Op::kOomScoreAdj:
    case Op::kHostname:
    case Op::kSecurityLabel:
    case Op::kTimeOffsets:
    case Op::kDomainname:
      return kText;
    default:
      return 0;
  }
}

bool HasNeededFields(const PlanStep& step) {
  const unsigned present = (step.fd == kNoSlot ? 0U : kFd) | (step.fd2 == kNoSlot ? 0U : kFd2) |
                           (step.out == kNoSlot ? 0U : kOut) | (step.text == kNoText ? 0U : kText) |
                           (step.text2 == kNoText ? 0U : kText2);
  const unsigned needed = NeededFields(step.op);
  return (present & needed) == needed;
}

bool ValidUserNamespaces(const PlanView& plan, const Bytes& bytes) {
  const PlanHeader& header = plan.header();
  if (header.given_count > kMaxGiven || header.user_namespace_count > kMaxGiven) return false;
  if (header.user_namespace_count == 0) return true;
  if (!bytes.HasArray(header.user_namespaces, header.user_namespace_count, sizeof(PlanUserNamespace))) return false;
  return std::ranges::all_of(plan.user_namespaces(), [&](const PlanUserNamespace& entry) {
    return entry.slot >= kFirstFreeSlot && entry.slot < kMaxSlots && bytes.HasText(entry.uid_map) &&
           bytes.HasText(entry.gid_map) && (entry.uid_map == kNoText) == (entry.gid_map == kNoText);
  });
}

bool ValidStep(const PlanStep& step, const Bytes& bytes) {
  if (!SlotInRange(step.fd) || !SlotInRange(step.fd2) || !SlotInRange(step.out)) return false;
  if (!HasNeededFields(step)) return false;
  if (!bytes.HasText(step.label) || !bytes.HasText(step.text2)) return false;
  switch (step.op) {
    case Op::kGroups:
      return bytes.HasArray(step.text, step.a, sizeof(uint32_t));
    case Op::kSeccomp:
      return step.a <= 0xffff && bytes.HasArray(step.text, step.a, kFilterInstructionBytes);
    case Op::kScheduler:
      return bytes.HasArray(step.text, 1, sizeof(SchedulerAttributes));
    case Op::kCpuAffinity:
      return bytes.HasArray(step.text, step.a, sizeof(uint64_t));
    case Op::kMemoryPolicy:
      return bytes.HasArray(step.text, step.b, sizeof(uint64_t));
    case Op::kPreserve:
      return step.a <= kMaxGiven && step.fd + static_cast<int>(step.a) <= kMaxSlots && bytes.HasText(step.text);
    case Op::kHook:
      return step.a <= kMaxHookTexts && step.b <= kMaxHookTexts &&
             bytes.HasTexts(step.text, static_cast<uint32_t>(1 + step.a + step.b));
    default:
      return bytes.HasText(step.text);
  }
}

}  // namespace

bool ValidatePlan(std::span<const std::byte> data) {
  if (data.size() < sizeof(PlanHeader) || data.size() > kMaxPlanBytes) return false;
  if (reinterpret_cast<uintptr_t>(data.data()) % alignof(PlanStep) != 0) return false;
  const PlanView plan(data);
  const PlanHeader& header = plan.header();
  if (header.magic != kPlanMagic || header.total_bytes != data.size()) return false;
  const uint64_t expected = sizeof(PlanHeader) + uint64_t{header.step_count} * sizeof(PlanStep) + header.byte_count;
  if (expected != data.size()) return false;

  const Bytes bytes{plan.Bytes(0), header.byte_count};
  for (const PlanStep& step : plan.steps()) {
    if (!ValidStep(step, bytes)) return false;
  }
  return ValidUserNamespaces(plan, bytes) && bytes.HasTexts(header.candidates, header.candidate_count) &&
         bytes.HasTexts(header.arguments, header.argument_count) &&
         bytes.HasTexts(header.environment, header.environment_count) && bytes.HasText(header.exec_label);
}

}  // namespace fermata::runtime
