#include "sandbox/helper_groups.h"

#include <chrono>

#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace fermata::sandbox {
namespace {

constexpr auto kEmptyDeadline = std::chrono::seconds(10);

Result<> KillAndRemove(const cgroups::Cgroup& mount, const std::string& path) {
  const auto group = mount.OpenBelow(path);
  if (!group) return {};  // there is none
  RETURN_IF_ERROR(group->Kill());
  RETURN_IF_ERROR(group->WaitEmpty(kEmptyDeadline));
  return mount.Remove(path);
}

class Group : public overlay::HelperGroup {
 public:
  Group(const cgroups::Cgroup& mount, std::string path, cgroups::Cgroup group)
      : mount_(mount), path_(std::move(path)), group_(std::move(group)) {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() override {
    if (const auto removed = KillAndRemove(mount_, path_); !removed) {
      log::warn("remove control group {}: {}", path_, removed.error().message());  // the next start sweeps it
    }
  }
  [[nodiscard]] int fd() const override { return group_.fd(); }

 private:
  const cgroups::Cgroup& mount_;
  std::string path_;
  cgroups::Cgroup group_;
};

}  // namespace

Result<> HelperGroups::Sweep() const { return KillAndRemove(mount_, parent_); }

Result<std::unique_ptr<overlay::HelperGroup>> HelperGroups::Make(const char* kind, int max_tasks) {
  const std::string path = parent_ + "/" + kind + "-" + std::to_string(++serial_);
  ASSIGN_OR_RETURN(cgroups::CreatedCgroup created, mount_.Create(path, {{"pids"}}), "make helper group");
  if (created.missing_controllers.empty()) {
    RETURN_IF_ERROR(WriteControl(created.cgroup.fd(), "pids.max", std::to_string(max_tasks)), "make helper group");
  }
  std::unique_ptr<overlay::HelperGroup> group = std::make_unique<Group>(mount_, path, std::move(created.cgroup));
  return group;
}

}  // namespace fermata::sandbox
