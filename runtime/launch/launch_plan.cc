#include "runtime/launch/launch_plan.h"

#include <cstring>

namespace fermata::runtime {

std::string LaunchPlan::Describe(uint32_t index) const {
  const PlanView plan = view();
  const auto steps = plan.steps();
  const uint32_t label = index < steps.size() ? steps[index].label : plan.header().exec_label;
  return label == kNoText ? "step " + std::to_string(index) : plan.Text(label);
}

std::vector<std::string> LaunchPlan::Lines() const {
  std::vector<std::string> lines;
  const PlanView plan = view();
  for (const PlanStep& step : plan.steps()) {
    lines.emplace_back(step.label == kNoText ? "" : plan.Text(step.label));
  }
  return lines;
}

int16_t PlanBuilder::Slot() { return static_cast<int16_t>(next_slot_++); }

int16_t PlanBuilder::Given() {
  ++header_.given_count;
  return Slot();
}

int16_t PlanBuilder::UserNamespace(std::string_view uid_map, std::string_view gid_map) {
  const PlanUserNamespace wanted{Text(uid_map), Text(gid_map), 0, 0};  // equal texts have equal positions
  for (const PlanUserNamespace& known : user_namespaces_) {
    if (known.uid_map == wanted.uid_map && known.gid_map == wanted.gid_map) return static_cast<int16_t>(known.slot);
  }
  const int16_t slot = Slot();
  user_namespaces_.push_back({wanted.uid_map, wanted.gid_map, static_cast<uint32_t>(slot), 0});
  return slot;
}

int16_t PlanBuilder::PodUserNamespace() {
  const int16_t slot = Slot();
  user_namespaces_.push_back({kNoText, kNoText, static_cast<uint32_t>(slot), 0});
  return slot;
}

PlanStep& PlanBuilder::Add(Op op, std::string_view label) {
  PlanStep& step = steps_.emplace_back();
  step.op = op;
  step.label = Text(label);
  return step;
}

uint32_t PlanBuilder::Text(std::string_view text) {
  has_nul_ = has_nul_ || text.find('\0') != std::string_view::npos;
  if (const auto known = known_texts_.find(text); known != known_texts_.end()) return known->second;
  const auto position = static_cast<uint32_t>(bytes_.size());
  bytes_.append(text).push_back('\0');
  known_texts_.emplace(text, position);
  return position;
}

uint32_t PlanBuilder::Array(const void* data, size_t size) {
  bytes_.resize((bytes_.size() + 7) & ~size_t{7});
  const auto position = static_cast<uint32_t>(bytes_.size());
  bytes_.append(static_cast<const char*>(data), size);
  return position;
}

uint32_t PlanBuilder::Texts(std::span<const std::string> texts) {
  std::vector<uint32_t> positions;
  positions.reserve(texts.size());
  for (const std::string& text : texts) positions.push_back(Text(text));
  return Array(positions.data(), positions.size() * sizeof(uint32_t));
}

void PlanBuilder::Execute(std::span<const std::string> candidates, std::span<const std::string> arguments,
                          std::span<const std::string> environment, std::string_view label) {
  header_.candidates = Texts(candidates);
  header_.candidate_count = static_cast<uint32_t>(candidates.size());
  header_.arguments = Texts(arguments);
  header_.argument_count = static_cast<uint32_t>(arguments.size());
  header_.environment = Texts(environment);
  header_.environment_count = static_cast<uint32_t>(environment.size());
  header_.exec_label = Text(label);
}

Result<LaunchPlan> PlanBuilder::Finish() {
  if (has_nul_) {
    return Error::Make(ErrorCode::kInvalidArgument, "an argument, environment value or path holds a NUL byte");
  }
  if (next_slot_ > kMaxSlots) {
    return Error::Make(ErrorCode::kInvalidArgument, "container has too many mounts: needs ", std::to_string(next_slot_),
                       " descriptors of ", std::to_string(kMaxSlots));
  }
  if (user_namespaces_.size() > kMaxGiven || header_.given_count > kMaxGiven) {
    return Error::Make(ErrorCode::kInvalidArgument, "more than ", std::to_string(kMaxGiven), " different id mappings");
  }
  header_.user_namespaces = Array(user_namespaces_.data(), user_namespaces_.size() * sizeof(PlanUserNamespace));
  header_.user_namespace_count = static_cast<uint16_t>(user_namespaces_.size());
  bytes_.resize((bytes_.size() + 7) & ~size_t{7});
  const size_t total = sizeof header_ + steps_.size() * sizeof(PlanStep) + bytes_.size();
  if (total > kMaxPlanBytes) {
    return Error::Make(ErrorCode::kResourceExhausted, "arguments, environment and mounts together are longer than ",
                       std::to_string(kMaxPlanBytes), " bytes");
  }
  header_.total_bytes = static_cast<uint32_t>(total);
  header_.step_count = static_cast<uint32_t>(steps_.size());
  header_.byte_count = static_cast<uint32_t>(bytes_.size());
  std::vector<std::byte> data(total);
  std::memcpy(data.data(), &header_, sizeof header_);
  std::memcpy(data.data() + sizeof header_, steps_.data(), steps_.size() * sizeof(PlanStep));
  std::memcpy(data.data() + sizeof header_ + steps_.size() * sizeof(PlanStep), bytes_.data(), bytes_.size());
  if (!ValidatePlan(data)) return Error::Make(ErrorCode::kInternal, "launch plan: does not pass its own check");
  return LaunchPlan(std::move(data));
}

}  // namespace fermata::runtime
