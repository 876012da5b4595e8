#include "runtime/launch/namespaces.h"

#include <sched.h>

#include <algorithm>

namespace fermata::runtime {
namespace {

constexpr uint32_t kNanoseconds = 1'000'000'000;

struct Range {
  uint64_t begin, end;
};

bool Overlap(const Range& a, const Range& b) { return a.begin < b.end && b.begin < a.end; }

Result<> CheckList(std::string_view name, const IdMappings& mappings) {
  constexpr uint64_t kIds = uint64_t{1} << 32;
  const auto invalid = [&](const char* why) { return Error::Make(ErrorCode::kInvalidArgument, name, ": ", why); };
  for (size_t i = 0; i < mappings.size(); ++i) {
    const IdMapping& mapping = mappings[i];
    const Range inside{mapping.container_id, uint64_t{mapping.container_id} + mapping.size};
    const Range outside{mapping.host_id, uint64_t{mapping.host_id} + mapping.size};
    if (mapping.size == 0) return invalid("a mapping has the size 0");
    if (inside.end >= kIds || outside.end >= kIds) return invalid("a mapping runs over the last id");
    for (size_t j = 0; j < i; ++j) {
      const IdMapping& other = mappings[j];
      if (Overlap(inside, {other.container_id, uint64_t{other.container_id} + other.size}) ||
          Overlap(outside, {other.host_id, uint64_t{other.host_id} + other.size})) {
        return invalid("mappings overlap");
      }
    }
  }
  if (!HostId(mappings, 0)) return invalid("id 0 is not mapped");
  return {};
}

}  // namespace

Result<> CheckMappings(const UserMappings& mappings) {
  RETURN_IF_ERROR(CheckList("uidMappings", mappings.uids));
  return CheckList("gidMappings", mappings.gids);
}

std::optional<uint32_t> HostId(const IdMappings& mappings, uint32_t id) {
  for (const IdMapping& mapping : mappings) {
    if (id >= mapping.container_id && id - mapping.container_id < mapping.size) {
      return mapping.host_id + (id - mapping.container_id);
    }
  }
  return std::nullopt;
}

void AddJoin(PlanBuilder& plan, int16_t slot, uint64_t namespaces, std::string_view label) {
  PlanStep& step = plan.Add(Op::kSetns, label);
  step.fd = slot;
  step.a = namespaces;
  if ((namespaces & CLONE_NEWUSER) != 0) AddRootIds(plan);
}

void AddRootIds(PlanBuilder& plan) {
  plan.Add(Op::kGroups, "drop groups to enter the user namespace");
  plan.Add(Op::kIds, "become root of the user namespace");
}

bool MakesTimeNamespace(const Linux& settings) {
  return std::ranges::any_of(settings.namespaces,
                             [](const Namespace& entry) { return entry.type == "time" && entry.path.empty(); });
}

Result<> AddTimeNamespace(PlanBuilder& plan, const Linux& settings, uint64_t stage_flags, bool join_pid) {
  if (!MakesTimeNamespace(settings)) {
    if (settings.time_offsets.empty()) return {};
    return Error::Make(ErrorCode::kInvalidArgument, "timeOffsets need a new time namespace");
  }
  plan.Add(Op::kUnshare, "make time namespace").a = CLONE_NEWTIME;
  std::string text;
  for (const auto& [clock, offset] : settings.time_offsets) {
    if ((clock != "monotonic" && clock != "boottime") || offset.nanoseconds >= kNanoseconds) {
      return Error::Make(ErrorCode::kInvalidArgument, "timeOffsets: ", clock, ": only monotonic and boottime, with ",
                         "less than a second of nanoseconds");
    }
    text += clock + ' ' + std::to_string(offset.seconds) + ' ' + std::to_string(offset.nanoseconds) + '\n';
  }
  if (!text.empty()) plan.Add(Op::kTimeOffsets, "set time offsets").text = plan.Text(text);
  if (join_pid) AddJoin(plan, kPidSlot, CLONE_NEWPID, "join PID namespace");
  plan.Add(Op::kStage, "enter time namespace").a = stage_flags;
  return {};
}

int16_t AddPrivateProc(PlanBuilder& plan, std::string_view label) {
  const int16_t context = plan.Slot();
  PlanStep& open = plan.Add(Op::kFsOpen, label);
  open.text = plan.Text("proc");
  open.out = context;
  PlanStep& create = plan.Add(Op::kFsMount, label);
  create.fd = context;
  create.out = plan.Slot();
  return create.out;
}

void AddSysctl(PlanBuilder& plan, int16_t proc, const std::string& name, const std::string& value) {
  std::string path = "sys/" + name;
  std::replace(path.begin(), path.end(), '.', '/');
  PlanStep& step = plan.Add(Op::kSysctl, "set sysctl " + name + "=" + value);
  step.fd = proc;
  step.text = plan.Text(path);
  step.text2 = plan.Text(value);
}

}  // namespace fermata::runtime
