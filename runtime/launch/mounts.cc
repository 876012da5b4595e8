#include "runtime/launch/mounts.h"

#include <sys/mount.h>

#include <algorithm>

namespace fermata::runtime {
namespace {

// A read-only view of the host's, where the container may not mount its own.
MountOptions HostTreeOptions() {
  MountOptions options;
  options.recursive_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return options;
}

bool HasMountOn(const Spec& spec, std::string_view destination) {
  return std::ranges::any_of(spec.mounts, [&](const Mount& mount) { return mount.destination == destination; });
}

}  // namespace

bool IsBind(const Mount& mount) {
  return mount.type == "bind" || std::any_of(mount.options.begin(), mount.options.end(), [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

std::string IdMapText(const IdMappings& mappings) {
  std::string text;
  for (const IdMapping& mapping : mappings) {
    text += std::to_string(mapping.container_id) + ' ' + std::to_string(mapping.host_id) + ' ' +
            std::to_string(mapping.size) + '\n';
  }
  return text;
}

int16_t MountPlanner::OpenTree(const std::string& path, bool recursive, const std::string& label) {
  const int16_t tree = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTree, label);
  open.text = plan_.Text(path);
  open.a = kOpenTreeClone | (recursive ? kAtRecursive : uint64_t{0});
  if (place_.in_pod) open.flags = kNoMagicLinks;  // paths of a request, which a tenant may have arranged (M-09)
  open.out = tree;
  return tree;
}

// A clone of a shared mount is its peer: what is mounted on it, or taken from it at the container's end, would be on
// the host too. Nothing of the host's but what was asked for as shared comes into a container without this.
int16_t MountPlanner::OpenPrivateTree(const std::string& path, bool recursive, const std::string& label) {
  const int16_t tree = OpenTree(path, recursive, label);
  PlanStep& step = plan_.Add(Op::kSetAttributes, label + ": make it private");
  step.fd = tree;
  step.c = MS_PRIVATE;
  if (recursive) step.flags = kRecursive;
  return tree;
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

// Bind mounts whose files show with other owners (mount_setattr(2), "ID-mapped mounts").
Result<> MountPlanner::MapIds(const Mount& mount, const MountOptions& options, int16_t source) {
  const bool own = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
  if (!options.idmap && !own) return {};
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount on ", mount.destination,
                       ": needs both uidMappings and gidMappings");
  }
  if (!own && place_.user_ns == kNoSlot) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount on ", mount.destination,
                       ": idmap without mappings needs a container with a user namespace");
  }
  const int16_t user_ns =
      own ? plan_.UserNamespace(IdMapText(mount.uid_mappings), IdMapText(mount.gid_mappings)) : place_.user_ns;
  PlanStep& step = plan_.Add(Op::kSetAttributes, "map ids of " + mount.source + " for " + mount.destination);
  step.fd = source;
  step.fd2 = user_ns;
  if (options.recursive_idmap) step.flags = kRecursive;
  return {};
}

Result<> MountPlanner::OpenBind(const Mount& mount, size_t index) {
  ASSIGN_OR_RETURN(const MountOptions options, ParseMountOptions(mount.options), "mount on ", mount.destination);
  // Parameters of a file system are ignored, as by mount(2); a lone word may be a misspelt restriction.
  for (const auto& [name, value] : options.data) {
    if (value.empty()) {
      return Error::Make(ErrorCode::kInvalidArgument, "mount on ", mount.destination, ": option ", name,
                         " has no meaning for a bind mount");
    }
  }
  const int16_t source = sources_[index] =
      OpenTree(mount.source, options.recursive_bind, "open " + mount.source + " for " + mount.destination);
  if (!mount.below.empty()) plan_.Last().text2 = plan_.Text(mount.below);
  if (place_.make_sources) plan_.Last().flags |= kMakeMissing;
  if (place_.refuse_proc) plan_.Last().flags |= kNotProc;
  RETURN_IF_ERROR(MapIds(mount, options, source));
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

// What a user namespace may not mount, because its network, IPC or cgroup namespace is not its own: the host's tree
// instead.
const char* MountPlanner::HostTreeFor(const Mount& mount) const {
  if (place_.user_ns == kNoSlot) return nullptr;
  if (mount.type == "sysfs" && place_.host_network) return "/sys";
  if (mount.type.starts_with("cgroup") && place_.host_cgroup) return "/sys/fs/cgroup";
  return mount.type == "mqueue" && place_.host_ipc ? "/dev/mqueue" : nullptr;
}

Result<> MountPlanner::OpenHostTrees() {
  const std::vector<Mount>& mounts = spec_.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (!mounts[i].destination.starts_with('/')) {
      return Error::Make(ErrorCode::kInvalidArgument, "mount destination ", mounts[i].destination, " is not absolute");
    }
    if (IsBind(mounts[i])) {
      RETURN_IF_ERROR(OpenBind(mounts[i], i));
    } else if (const char* tree = HostTreeFor(mounts[i])) {
      sources_[i] = OpenPrivateTree(tree, true, std::string("open ") + tree + " for " + mounts[i].destination);
      AddAttributes(sources_[i], HostTreeOptions(), mounts[i].destination);
    }
  }
  if (place_.user_ns != kNoSlot) OpenDevices();
  // Last: with mapped ids this goes on in another mount namespace.
  if (place_.overlay == nullptr) OpenBindRootfs();
  return OpenLayers();
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
  if (type == "proc" && place_.proc_of_pid_slot) {
    PlanStep& step = plan_.Add(Op::kFsConfig, label + ": option pidns");
    step.fd = context;
    step.fd2 = kPidSlot;
    step.text = plan_.Text("pidns");
  }
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

Result<> MountPlanner::AttachMount(const Mount& mount, size_t index) {
  const std::string label = "mount " + (mount.type.empty() ? mount.source : mount.type) + " on " + mount.destination;
  if (const auto source = sources_.find(index); source != sources_.end()) {
    AttachOn(source->second, mount.destination, kTargetLikeSource,
             "mount " + mount.source + " on " + mount.destination);
    return {};
  }
  if (const auto image = images_.find(index); image != images_.end()) {
    AttachImage(image->second);
    return {};
  }
  const bool shm = place_.pod_shm && mount.destination == "/dev/shm" && mount.type == "tmpfs";
  if (shm || (mount.type == "proc" && place_.pod_proc)) {
    // What pause holds ready in the template namespace, which is "/" at this point.
    AttachOn(OpenTree(shm ? "/m" : "/p", false, label), mount.destination, kTargetDirectory, label);
    return {};
  }
  ASSIGN_OR_RETURN(const MountOptions options, ParseMountOptions(mount.options), label);
  const std::string type = mount.type == "cgroup" ? "cgroup2" : mount.type;
  const int16_t filesystem = NewFilesystem(type, mount.source, options, label);
  if (mount.destination == "/dev" && type == "tmpfs") FillDev(filesystem);
  if (options.copy_up) {
    PlanStep& copy = plan_.Add(Op::kCopyUp, label + ": copy what the image has there");
    copy.fd = root_;
    copy.text = plan_.Text(mount.destination);
    copy.fd2 = filesystem;
  }
  AttachOn(filesystem, mount.destination, kTargetDirectory, label);
  if (mount.destination == "/dev") AttachDevices();
  if (type == "devpts" && place_.console != kNoSlot && terminal_ == kNoSlot) AddTerminal(filesystem);
  return {};
}

void MountPlanner::MaskAndProtect() {
  const Linux& settings = spec_.linux;
  for (const std::string& path : settings.readonly_paths) {
    PlanStep& step = plan_.Add(Op::kReadonlyPath, "make " + path + " read-only");
    step.fd = root_;
    step.text = plan_.Text(path);
    step.flags = kMissingOk;
  }
  if (settings.masked_paths.empty()) return;
  // The cover for files is the null device of our own fresh /dev, by descriptor.
  const int16_t null_device = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kOpenTarget, "open /dev/null to mask paths");
  open.fd = root_;
  open.text = plan_.Text("/dev/null");
  open.a = kTargetFile;
  open.out = null_device;
  const int16_t empty = plan_.Slot();
  for (const std::string& path : settings.masked_paths) {
    PlanStep& step = plan_.Add(Op::kMaskPath, "mask " + path);
    step.fd = root_;
    step.fd2 = null_device;
    step.out = empty;
    step.text = plan_.Text(path);
    step.flags = kMissingOk;
  }
}

Result<> MountPlanner::AttachMounts() {
  PlanStep& move = plan_.Add(Op::kMoveMount, "attach root file system");
  move.fd = root_;
  move.text = plan_.Text(place_.attach_on);
  // A /dev of the image's own would be a place where it steers what we make (M-04 of the threat table).
  if (!HasMountOn(spec_, "/dev")) {
    RETURN_IF_ERROR(AttachMount({"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=64k"}, {}, {}},
                                spec_.mounts.size()));
  }
  for (size_t i = 0; i < spec_.mounts.size(); ++i) RETURN_IF_ERROR(AttachMount(spec_.mounts[i], i));
  if (place_.console != kNoSlot && terminal_ == kNoSlot) {
    return Error::Make(ErrorCode::kInvalidArgument, "a terminal needs a mount of type devpts");
  }
  MaskAndProtect();
  return {};
}

Result<> MountPlanner::EnterRoot() {
  plan_.Add(Op::kPivotRoot, "change root").fd = root_;
  MountOptions propagation;
  if (const std::string& wanted = spec_.linux.rootfs_propagation; !wanted.empty()) {
    ASSIGN_OR_RETURN(propagation, ParseMountOptions({wanted}), "rootfsPropagation");
    if (propagation.propagation == 0) {
      return Error::Make(ErrorCode::kInvalidArgument, "rootfsPropagation: ", wanted, " is none of private, slave, ",
                         "shared, unbindable");
    }
  }
  if (propagation.propagation != 0 && propagation.propagation != MS_PRIVATE) {
    PlanStep& step = plan_.Add(Op::kSetAttributes, "set propagation of the root file system");
    step.fd = root_;
    step.c = propagation.propagation;
    step.flags = kRecursive;
  }
  // The working directory is made if it is missing, so it comes before the root turns read-only.
  PlanStep& directory = plan_.Add(Op::kChangeDirectory, "enter working directory " + spec_.process.cwd);
  directory.text = plan_.Text(spec_.process.cwd);
  if (spec_.root_readonly) {
    PlanStep& step = plan_.Add(Op::kSetAttributes, "make the root file system read-only");
    step.fd = root_;
    step.a = MOUNT_ATTR_RDONLY;
  }
  return {};
}

}  // namespace fermata::runtime
