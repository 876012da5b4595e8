// Renders a container's mounts into plan steps.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/launch/mount_options.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// A tree made of an image's layers; all paths on the host.
struct OverlayRootfs {
  std::string layers_dir;          // what `lower` is relative to
  std::vector<std::string> lower;  // names, top first
  std::string upper;               // empty: read-only. With a user namespace: its top belongs to the mapped root
  std::string work;
  bool append_layers = false;  // the kernel takes "lowerdir+" (found by trying, overlay/overlay_mount.h)
};

// Images that are mounted as volumes, by the source of their mounts of type "image". Such a mount is read-only; its
// option "subpath=PATH" shows a file or directory of it, which no link may lead out of.
using ImageTrees = std::map<std::string, OverlayRootfs>;

// Where the mounts are made, and out of what. Everything referred to outlives the planner.
struct MountPlace {
  const Spec& spec;
  const OverlayRootfs* overlay = nullptr;  // else spec.root_path is bind-mounted
  const ImageTrees* images = nullptr;
  // The directory of the mount namespace that the root is attached on until it becomes "/".
  std::string attach_on = "/dev";
  std::string image_on = "/i";    // the same for an image of which a part is mounted
  bool in_pod = false;            // the template of the pod is there: /p its proc, /m its shm
  bool pod_shm = false;           // /dev/shm is the pod's
  bool proc_of_pid_slot = false;  // proc is to be of the PID namespace in kPidSlot, which we enter later (Linux 6.17)
  bool pod_proc = false;          // proc is the template's: we are not in the PID namespace yet
  bool make_sources = false;      // a bind mount's source that is missing is made, as a directory
  bool refuse_proc = false;       // a bind mount's source on procfs is refused, but for the whole of it
  int16_t user_ns = kNoSlot;      // of the container, which then can neither make devices nor ...
  bool host_network = false;      // ... mount sysfs, for the host's network
  bool host_ipc = false;          // ... or mqueue
  bool host_cgroup = false;
  int16_t console = kNoSlot;  // socket that takes the terminal, where the process has one
};

// Steps in three parts, because host paths have to be opened before a namespace is joined.
class MountPlanner {
 public:
  MountPlanner(PlanBuilder& plan, const MountPlace& place) : plan_(plan), place_(place), spec_(place.spec) {}

  Result<> OpenHostTrees();  // before the join: rootfs and sources of bind mounts
  Result<> AttachMounts();   // after the join: rootfs, then all mounts, masked and read-only paths
  Result<> EnterRoot();      // pivot_root and what follows
  // The process's end of its terminal; kNoSlot if it has none.
  [[nodiscard]] int16_t terminal() const { return terminal_; }

 private:
  // rootfs.cc
  // A tree of layers on its way.
  struct Tree {
    std::optional<size_t> mount;  // index of the mount; nothing: the root
    std::string label;
    const OverlayRootfs* overlay = nullptr;
    MountOptions options;
    std::string sub_path;
    int16_t out = kNoSlot;
  };
  [[nodiscard]] bool IsImage(const Mount& mount) const;
  Result<std::vector<Tree>> TreesToOpen();
  Result<> OpenLayers();
  void OpenSingleLayer(Tree& tree);
  void OpenOverlays(std::span<Tree* const> trees);
  void OpenMappedOverlays(std::span<Tree* const> trees);
  void MapLayer(int16_t layer, const std::string& label);
  void ConfigureOverlay(Tree& tree, const std::vector<std::string>& names);
  void OpenBindRootfs();
  void AttachImage(const Tree& tree);

  // mounts.cc
  int16_t OpenTree(const std::string& path, bool recursive, const std::string& label);
  int16_t OpenPrivateTree(const std::string& path, bool recursive, const std::string& label);
  void AddAttributes(int16_t mount, const MountOptions& options, const std::string& destination);
  Result<> OpenBind(const Mount& mount, size_t index);
  Result<> MapIds(const Mount& mount, const MountOptions& options, int16_t source);
  [[nodiscard]] const char* HostTreeFor(const Mount& mount) const;
  Result<> AttachMount(const Mount& mount, size_t index);
  int16_t NewFilesystem(const std::string& type, const std::string& source, const MountOptions& options,
                        const std::string& label);
  void AttachOn(int16_t mount, const std::string& destination, uint64_t kind, const std::string& label);
  void MaskAndProtect();

  // dev_mount.cc
  void OpenDevices();
  void FillDev(int16_t dev);
  void MakeDevice(int16_t dev, const Device& device);
  void AttachDevices();
  void AddTerminal(int16_t devpts);

  PlanBuilder& plan_;
  const MountPlace& place_;
  const Spec& spec_;
  int16_t root_ = kNoSlot;
  int16_t terminal_ = kNoSlot;
  std::map<size_t, int16_t> sources_;       // index of the mount -> slot of its opened source
  std::map<size_t, Tree> images_;           // the same of images
  std::map<std::string, int16_t> devices_;  // path of the device -> slot of its opened node
};

// A bind mount, by its type or its options.
bool IsBind(const Mount& mount);

// Maps as /proc/PID/uid_map takes them.
std::string IdMapText(const IdMappings& mappings);

}  // namespace fermata::runtime
