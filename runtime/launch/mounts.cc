#include "runtime/launch/mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <set>

namespace fermata::runtime {
namespace {

// Of <linux/mount.h> and <linux/fcntl.h>, which cannot be included beside <sys/mount.h> (glibc 2.36).
constexpr uint64_t kOpenTreeClone = 1;
constexpr uint64_t kAtRecursive = 0x8000;

struct DefaultDevice {
  const char* name;
  unsigned major, minor;
};
constexpr std::array kDefaultDevices = {DefaultDevice{"null", 1, 3},    DefaultDevice{"zero", 1, 5},
                                        DefaultDevice{"full", 1, 7},    DefaultDevice{"random", 1, 8},
                                        DefaultDevice{"urandom", 1, 9}, DefaultDevice{"tty", 5, 0}};
struct Link {
  const char *target, *name;
};
constexpr std::array kDevLinks = {Link{"/proc/self/fd", "fd"}, Link{"/proc/self/fd/0", "stdin"},
                                  Link{"/proc/self/fd/1", "stdout"}, Link{"/proc/self/fd/2", "stderr"},
                                  Link{"pts/ptmx", "ptmx"}};

bool IsBind(const Mount& mount) {
  return mount.type == "bind" || std::any_of(mount.options.begin(), mount.options.end(), [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

bool IsPodShm(const ContainerLaunch& launch, const Mount& mount) {
  return launch.pod_shm && mount.destination == "/dev/shm" && mount.type == "tmpfs";
}

}  // namespace

void MountPlanner::OpenOverlay() {
  const OverlayRootfs& overlay = *launch_.overlay;
  const std::string label = "mount overlay of " + std::to_string(overlay.lower.size()) + " layers";
  PlanStep& enter = plan_.Add(Op::kChangeDirectoryHost, label + ": chdir " + overlay.layers_dir);
  enter.text = plan_.Text(overlay.layers_dir);
  MountOptions options;
  if (overlay.append_layers) {
    for (const std::string& layer : overlay.lower) options.data.emplace_back("lowerdir+", layer);
  } else {  // one string of at most 255 bytes: why layers have short names and this is done from their directory
    std::string lower;
    for (const std::string& layer : overlay.lower) lower += (lower.empty() ? "" : ":") + layer;
    options.data.emplace_back("lowerdir", lower);
  }
  options.data.emplace_back("upperdir", overlay.upper);
  options.data.emplace_back("workdir", overlay.work);
  options.data.emplace_back("volatile", "");
  root_ = NewFilesystem("overlay", "overlay", options, label);
  plan_.Add(Op::kChangeDirectoryHost, "chdir /").text = plan_.Text("/");
}

void MountPlanner::OpenBindRootfs() {
  root_ = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTree, "open root file system " + launch_.spec.root_path);
  open.text = plan_.Text(launch_.spec.root_path);
  open.a = kOpenTreeClone | kAtRecursive;
  open.out = root_;
  PlanStep& detach = plan_.Add(Op::kSetAttributes, "make root file system private");
  detach.fd = root_;
  detach.c = MS_PRIVATE;
  detach.flags = kRecursive;
}

// Of a clone or of a new mount: what concerns it alone, then what concerns all below it too.
void MountPlanner::AddAttributes(int16_t mount, const MountOptions& options, const std::string& destination) {
  const auto add = [&](uint64_t set, uint64_t clear, uint16_t flags) {
    if ((set | clear) == 0) return;
    PlanStep& step = plan_.Add(Op::kSetAttributes, "set attributes of " + destination);
    step.fd = mount;
    step.a = set;
    step.b = clear;
    step.flags = flags;
  };
  const bool sets_atime = (options.attributes & MOUNT_ATTR__ATIME) != 0;
  add(options.attributes, sets_atime ? uint64_t{MOUNT_ATTR__ATIME} : uint64_t{0}, 0);
  add(options.recursive_set, options.recursive_clear, kRecursive);
}

Result<> MountPlanner::OpenBind(const Mount& mount, size_t index) {
  ASSIGN_OR_RETURN(const MountOptions options, ParseMountOptions(mount.options), "mount on ", mount.destination);
  if (!options.data.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount on ", mount.destination, ": option ",
                       options.data.front().first, " has no meaning for a bind mount");
  }
  const int16_t source = sources_[index] = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTree, "open " + mount.source + " for " + mount.destination);
  open.text = plan_.Text(mount.source);
  open.a = kOpenTreeClone | (options.recursive_bind ? kAtRecursive : 0);
  open.out = source;
  // The clone of a shared tree is its peer already; anything else is cut off or made to follow only.
  if (options.propagation != MS_SHARED) {
    PlanStep& step = plan_.Add(Op::kSetAttributes, "set propagation of " + mount.destination);
    step.fd = source;
    step.c = options.propagation == 0 ? uint64_t{MS_PRIVATE} : options.propagation;
    step.flags = kRecursive;
  }
  AddAttributes(source, options, mount.destination);
  return {};
}

Result<> MountPlanner::OpenHostTrees() {
  if (launch_.overlay) {
    OpenOverlay();
  } else {
    OpenBindRootfs();
  }
  const std::vector<Mount>& mounts = launch_.spec.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (!mounts[i].destination.starts_with('/')) {
      return Error::Make(ErrorCode::kInvalidArgument, "mount destination ", mounts[i].destination, " is not absolute");
    }
    if (IsBind(mounts[i])) RETURN_IF_ERROR(OpenBind(mounts[i], i));
  }
  return {};
}

int16_t MountPlanner::NewFilesystem(const std::string& type, const std::string& source, const MountOptions& options,
                                    const std::string& label) {
  const int16_t context = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kFsOpen, label);
  open.text = plan_.Text(type);
  open.out = context;
  const auto configure = [&](const std::string& key, const std::string& value) {
    PlanStep& step = plan_.Add(Op::kFsConfig, label + ": option " + key);
    step.fd = context;
    step.text = plan_.Text(key);
    if (!value.empty()) step.text2 = plan_.Text(value);
  };
  if (!source.empty()) configure("source", source);
  for (const auto& [key, value] : options.data) configure(key, value);
  const int16_t mount = plan_.Slot();
  PlanStep& create = plan_.Add(Op::kFsMount, label);
  create.fd = context;
  create.out = mount;
  create.a = (options.attributes & ~options.recursive_clear) | options.recursive_set;
  return mount;
}

void MountPlanner::AttachOn(int16_t mount, const std::string& destination, uint64_t kind, const std::string& label) {
  const int16_t target = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTarget, label);
  open.fd = root_;
  open.fd2 = kind == kTargetLikeSource ? mount : kNoSlot;
  open.text = plan_.Text(destination);
  open.a = kind;
  open.out = target;
  PlanStep& move = plan_.Add(Op::kMoveMount, label);
  move.fd = mount;
  move.fd2 = target;
  plan_.Add(Op::kClose, label).fd = target;
}

// /dev is always a tmpfs of ours, filled before it is attached: nothing in the image can steer a name here.
void MountPlanner::FillDev(int16_t dev) {
  const auto add_node = [&](const std::string& name, mode_t type, uint32_t mode, dev_t device, uint64_t owner) {
    PlanStep& step = plan_.Add(Op::kMakeNode, "make device /dev/" + name);
    step.fd = dev;
    step.text = plan_.Text(name);
    step.a = type | mode;
    step.b = device;
    step.c = owner;
  };
  for (const DefaultDevice& device : kDefaultDevices) {
    add_node(device.name, S_IFCHR, 0666, makedev(device.major, device.minor), 0);
  }
  std::set<std::string> directories;
  for (const Device& device : launch_.spec.linux.devices) {
    if (!device.path.starts_with("/dev/")) continue;
    for (size_t slash = device.path.find('/', 5); slash != std::string::npos;
         slash = device.path.find('/', slash + 1)) {
      if (!directories.insert(device.path.substr(5, slash - 5)).second) continue;
      PlanStep& make = plan_.Add(Op::kMakeDirectory, "make " + device.path.substr(0, slash));
      make.fd = dev;
      make.text = plan_.Text(device.path.substr(5, slash - 5));
      make.a = 0755;
    }
    const mode_t type = device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
    add_node(device.path.substr(5), type, device.mode,
             makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor)),
             device.uid | uint64_t{device.gid} << 32);
  }
  for (const Link& link : kDevLinks) {
    PlanStep& step = plan_.Add(Op::kMakeSymlink, std::string("make link /dev/") + link.name);
    step.fd = dev;
    step.text = plan_.Text(link.target);
    step.text2 = plan_.Text(link.name);
  }
}

Result<> MountPlanner::AttachMount(const Mount& mount, size_t index) {
  const std::string label = "mount " + (mount.type.empty() ? mount.source : mount.type) + " on " + mount.destination;
  if (const auto source = sources_.find(index); source != sources_.end()) {
    AttachOn(source->second, mount.destination, kTargetLikeSource,
             "mount " + mount.source + " on " + mount.destination);
    return {};
  }
  if (IsPodShm(launch_, mount) || (mount.type == "proc" && launch_.two_stages)) {
    // What pause holds ready in the template namespace, which is "/" at this point.
    const int16_t clone = plan_.Slot();
    PlanStep& open = plan_.Add(Op::kOpenTree, label);
    open.text = plan_.Text(mount.type == "proc" ? "/p" : "/m");
    open.a = kOpenTreeClone;
    open.out = clone;
    AttachOn(clone, mount.destination, kTargetDirectory, label);
    return {};
  }
  ASSIGN_OR_RETURN(const MountOptions options, ParseMountOptions(mount.options), label);
  const std::string type = mount.type == "cgroup" ? "cgroup2" : mount.type;
  const int16_t filesystem = NewFilesystem(type, mount.source, options, label);
  if (mount.destination == "/dev" && type == "tmpfs") FillDev(filesystem);
  AttachOn(filesystem, mount.destination, kTargetDirectory, label);
  return {};
}

void MountPlanner::MaskAndProtect() {
  const Linux& settings = launch_.spec.linux;
  for (const std::string& path : settings.readonly_paths) {
    PlanStep& step = plan_.Add(Op::kReadonlyPath, "make " + path + " read-only");
    step.fd = root_;
    step.text = plan_.Text(path);
    step.flags = kMissingOk;
  }
  if (settings.masked_paths.empty()) return;
  // The cover for files is the null device of our own fresh /dev, by descriptor.
  null_device_ = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTarget, "open /dev/null to mask paths");
  open.fd = root_;
  open.text = plan_.Text("/dev/null");
  open.a = kTargetFile;
  open.out = null_device_;
  const int16_t empty = plan_.Slot();
  for (const std::string& path : settings.masked_paths) {
    PlanStep& step = plan_.Add(Op::kMaskPath, "mask " + path);
    step.fd = root_;
    step.fd2 = null_device_;
    step.out = empty;
    step.text = plan_.Text(path);
    step.flags = kMissingOk;
  }
}

Result<> MountPlanner::AttachMounts() {
  PlanStep& move = plan_.Add(Op::kMoveMount, "attach root file system");
  move.fd = root_;
  move.text = plan_.Text("/r");
  const std::vector<Mount>& mounts = launch_.spec.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) RETURN_IF_ERROR(AttachMount(mounts[i], i));
  MaskAndProtect();
  return {};
}

void MountPlanner::EnterRoot() {
  plan_.Add(Op::kPivotRoot, "change root").fd = root_;
  const std::string& propagation = launch_.spec.linux.rootfs_propagation;
  if (propagation == "shared" || propagation == "rshared" || propagation == "slave" || propagation == "rslave") {
    PlanStep& step = plan_.Add(Op::kSetAttributes, "set propagation of the root file system");
    step.fd = root_;
    step.c = propagation.find("shared") != std::string::npos ? MS_SHARED : MS_SLAVE;
    step.flags = kRecursive;
  }
  // The working directory is made if it is missing, so it comes before the root turns read-only.
  PlanStep& directory = plan_.Add(Op::kChangeDirectory, "enter working directory " + launch_.spec.process.cwd);
  directory.text = plan_.Text(launch_.spec.process.cwd);
  if (launch_.spec.root_readonly) {
    PlanStep& step = plan_.Add(Op::kSetAttributes, "make the root file system read-only");
    step.fd = root_;
    step.a = MOUNT_ATTR_RDONLY;
  }
}

}  // namespace fermata::runtime
