// The launch plan as the monitor receives it: what passes the check leads nowhere outside of itself.
#include "tests/fuzz/plan_walk.h"

namespace fermata::runtime {
namespace {

void CheckPlan(const std::vector<std::byte>& data) {
  if (ValidatePlan(data)) WalkPlan(LaunchPlan(data));
}

// With the sizes of the header put right, which no random change does.
void CheckWithSizes(std::vector<std::byte> data) {
  if (data.size() < sizeof(PlanHeader)) return;
  PlanHeader header;
  std::memcpy(&header, data.data(), sizeof header);
  header.magic = kPlanMagic;
  header.total_bytes = static_cast<uint32_t>(data.size());
  header.step_count %= 16;
  const size_t fixed = sizeof header + header.step_count * sizeof(PlanStep);
  if (fixed > data.size()) return;
  header.byte_count = static_cast<uint32_t>(data.size() - fixed);
  std::memcpy(data.data(), &header, sizeof header);
  CheckPlan(data);
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> copy(bytes, bytes + size);  // aligned
  fermata::runtime::CheckPlan(copy);
  fermata::runtime::CheckWithSizes(copy);
  return 0;
}
