// Renders a container's mounts into plan steps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/container_plan.h"
#include "runtime/launch/mount_options.h"

namespace fermata::runtime {

// Steps in three parts, because host paths have to be opened before a namespace is joined.
class MountPlanner {
 public:
  MountPlanner(PlanBuilder& plan, const ContainerLaunch& launch) : plan_(plan), launch_(launch) {}

  Result<> OpenHostTrees();  // before the join: rootfs and sources of bind mounts
  Result<> AttachMounts();   // after the join: rootfs on /r, then all mounts, masked and read-only paths
  void EnterRoot();          // pivot_root and what follows

 private:
  void OpenOverlay();
  void OpenBindRootfs();
  void AddAttributes(int16_t mount, const MountOptions& options, const std::string& destination);
  Result<> OpenBind(const Mount& mount, size_t index);
  Result<> AttachMount(const Mount& mount, size_t index);
  int16_t NewFilesystem(const std::string& type, const std::string& source, const MountOptions& options,
                        const std::string& label);
  void AttachOn(int16_t mount, const std::string& destination, uint64_t kind, const std::string& label);
  void FillDev(int16_t dev);
  void MaskAndProtect();

  PlanBuilder& plan_;
  const ContainerLaunch& launch_;
  int16_t root_ = kNoSlot;
  int16_t null_device_ = kNoSlot;
  std::map<size_t, int16_t> sources_;  // index of the mount -> slot of its opened source
};

}  // namespace fermata::runtime
