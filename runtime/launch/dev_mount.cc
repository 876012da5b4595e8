// /dev of a container: always a tmpfs of ours, filled before it is attached, so that nothing in the image can steer a
// name there. In a user namespace nobody makes devices: the host's own are opened before, and attached after.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <set>

#include "runtime/launch/mounts.h"

namespace fermata::runtime {
namespace {

const std::vector<Device>& DefaultDevices() {
  static const std::vector<Device> devices = {{"/dev/null", 'c', 1, 3},    {"/dev/zero", 'c', 1, 5},
                                              {"/dev/full", 'c', 1, 7},    {"/dev/random", 'c', 1, 8},
                                              {"/dev/urandom", 'c', 1, 9}, {"/dev/tty", 'c', 5, 0}};
  return devices;
}

struct Link {
  const char *target, *name;
};
constexpr std::array kDevLinks = {Link{"/proc/self/fd", "fd"}, Link{"/proc/self/fd/0", "stdin"},
                                  Link{"/proc/self/fd/1", "stdout"}, Link{"/proc/self/fd/2", "stderr"},
                                  Link{"pts/ptmx", "ptmx"}};

constexpr std::string_view kDev = "/dev/";

// The default ones, and those asked for; one that is asked for again is that one.
std::vector<Device> AllDevices(const Spec& spec) {
  std::set<std::string_view> asked;
  for (const Device& device : spec.linux.devices) asked.insert(device.path);
  std::vector<Device> devices = spec.linux.devices;
  for (const Device& device : DefaultDevices()) {
    if (!asked.contains(device.path)) devices.push_back(device);
  }
  return devices;
}

mode_t TypeOf(const Device& device) {
  if (device.type == 'b') return S_IFBLK;
  return device.type == 'p' ? S_IFIFO : S_IFCHR;
}

}  // namespace

void MountPlanner::OpenDevices() {
  for (const Device& device : AllDevices(spec_)) {
    devices_[device.path] = OpenPrivateTree(device.path, false, "open device " + device.path);
  }
}

// `dev`: the tmpfs; kNoSlot: the device lies elsewhere in the root.
void MountPlanner::MakeDevice(int16_t dev, const Device& device) {
  const size_t slash = device.path.rfind('/');
  const std::string label = "make device " + device.path;
  int16_t directory = dev;
  if (dev == kNoSlot) {
    directory = plan_.Slot();
    PlanStep& open = plan_.Add(Op::kOpenTarget, label);
    open.fd = root_;
    open.text = plan_.Text(slash == 0 ? "/" : device.path.substr(0, slash));
    open.a = kTargetDirectory;
    open.out = directory;
  }
  PlanStep& make = plan_.Add(Op::kMakeNode, label);
  make.fd = directory;
  make.text = plan_.Text(device.path.substr(dev == kNoSlot ? slash + 1 : kDev.size()));
  make.a = TypeOf(device) | device.mode;
  make.b = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  make.c = device.uid | uint64_t{device.gid} << 32;
}

void MountPlanner::FillDev(int16_t dev) {
  std::set<std::string> directories;
  const bool make_nodes = place_.user_ns == kNoSlot;
  for (const Device& device : AllDevices(spec_)) {
    if (!make_nodes || !device.path.starts_with(kDev)) continue;
    for (size_t slash = device.path.find('/', kDev.size()); slash != std::string::npos;
         slash = device.path.find('/', slash + 1)) {
      const std::string directory = device.path.substr(kDev.size(), slash - kDev.size());
      if (!directories.insert(directory).second) continue;
      PlanStep& make = plan_.Add(Op::kMakeDirectory, "make /dev/" + directory);
      make.fd = dev;
      make.text = plan_.Text(directory);
      make.a = 0755;
    }
    MakeDevice(dev, device);
  }
  for (const Link& link : kDevLinks) {
    PlanStep& step = plan_.Add(Op::kMakeSymlink, std::string("make link /dev/") + link.name);
    step.fd = dev;
    step.text = plan_.Text(link.target);
    step.text2 = plan_.Text(link.name);
  }
}

// After /dev is attached: what could not be made in it, and devices that lie elsewhere.
void MountPlanner::AttachDevices() {
  for (const auto& [path, node] : devices_) AttachOn(node, path, kTargetFile, "attach device " + path);
  if (place_.user_ns != kNoSlot) return;
  for (const Device& device : spec_.linux.devices) {
    if (!device.path.starts_with(kDev)) MakeDevice(kNoSlot, device);
  }
}

void MountPlanner::AddTerminal(int16_t devpts) {
  const Process& process = spec_.process;
  terminal_ = plan_.Slot();
  PlanStep& open = plan_.Add(Op::kTerminal, "open terminal");
  open.fd = devpts;
  open.fd2 = place_.console;
  open.out = terminal_;
  open.a = process.console_width | uint64_t{process.console_height} << 16;
  const int16_t clone = plan_.Slot();
  PlanStep& tree = plan_.Add(Op::kOpenTree, "open terminal for /dev/console");
  tree.fd = terminal_;
  tree.text = plan_.Text("");
  tree.a = kOpenTreeClone | kAtEmptyPath;
  tree.out = clone;
  AttachOn(clone, "/dev/console", kTargetFile, "attach terminal on /dev/console");
}

}  // namespace fermata::runtime
