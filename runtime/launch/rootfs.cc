// The root file system of a container: an overlay of layers, or a directory.
#include <sched.h>
#include <sys/mount.h>

#include "runtime/launch/mounts.h"

namespace fermata::runtime {

namespace {

constexpr const char* kAnyDirectory = "/dev";  // of the host, in a copy of its mount namespace

// One by one where the kernel can, else as one string, which it takes up to 255 bytes: why layers have short names
// and this is done from their directory.
MountOptions LowerOptions(const std::vector<std::string>& names, bool append_layers) {
  MountOptions options;
  if (append_layers) {
    for (const std::string& name : names) options.data.emplace_back("lowerdir+", name);
    return options;
  }
  std::string lower;
  for (const std::string& name : names) lower += (lower.empty() ? "" : ":") + name;
  options.data.emplace_back("lowerdir", lower);
  return options;
}

// overlayfs takes a backslash in these two for the escape of what follows.
std::string Escaped(const std::string& path) {
  std::string text;
  for (const char c : path) text.append(c == '\\' ? "\\\\" : std::string(1, c));
  return text;
}

std::string OverlayLabel(const OverlayRootfs& overlay) {
  return "mount overlay of " + std::to_string(overlay.lower.size()) + " layers";
}

}  // namespace

void MountPlanner::ConfigureOverlay(MountOptions options, const std::string& label) {
  options.data.emplace_back("upperdir", Escaped(place_.overlay->upper));
  options.data.emplace_back("workdir", Escaped(place_.overlay->work));
  options.data.emplace_back("volatile", "");
  root_ = NewFilesystem("overlay", "overlay", options, label);
  plan_.Add(Op::kChangeDirectoryHost, "chdir /").text = plan_.Text("/");
}

void MountPlanner::OpenOverlay() {
  const OverlayRootfs& overlay = *place_.overlay;
  const std::string label = OverlayLabel(overlay);
  PlanStep& enter = plan_.Add(Op::kChangeDirectoryHost, label + ": chdir " + overlay.layers_dir);
  enter.text = plan_.Text(overlay.layers_dir);
  ConfigureOverlay(LowerOptions(overlay.lower, overlay.append_layers), label);
}

// With the ids of the container's user namespace: overlayfs takes idmapped layers, but before 6.18 only attached ones.
// So clones of them are attached in a mount namespace that nobody will see again, on a tmpfs where they have short
// names. The upper directory is not mapped (the root would silently be read-only); it belongs to the mapped root.
void MountPlanner::OpenMappedOverlay() {
  const OverlayRootfs& overlay = *place_.overlay;
  const std::string label = OverlayLabel(overlay);
  std::vector<int16_t> layers;
  for (const std::string& name : overlay.lower) {
    layers.push_back(OpenTree(overlay.layers_dir + "/" + name, false, label + ": open layer " + name));
    PlanStep& map = plan_.Add(Op::kSetAttributes, label + ": map ids of layer " + name);
    map.fd = layers.back();
    map.fd2 = place_.user_ns;
    map.c = MS_PRIVATE;
  }
  plan_.Add(Op::kUnshare, label + ": make mount namespace").a = CLONE_NEWNS;
  plan_.Add(Op::kPrivateRoot, label + ": make mounts private");
  MountOptions options;
  options.data = {{"mode", "0700"}, {"size", "65536"}};
  const int16_t scratch = NewFilesystem("tmpfs", "tmpfs", options, label);
  PlanStep& attach = plan_.Add(Op::kMoveMount, label + ": attach tmpfs");
  attach.fd = scratch;
  attach.text = plan_.Text(kAnyDirectory);
  std::vector<std::string> names;
  for (const int16_t layer : layers) {
    const std::string& name = names.emplace_back(std::to_string(names.size()));
    PlanStep& make = plan_.Add(Op::kMakeDirectory, label);
    make.fd = scratch;
    make.text = plan_.Text(name);
    make.a = 0700;
    PlanStep& move = plan_.Add(Op::kMoveMount, label + ": attach layer");
    move.fd = layer;
    move.fd2 = scratch;
    move.text = plan_.Text(name);
  }
  plan_.Add(Op::kChangeDirectoryHost, label).text = plan_.Text(kAnyDirectory);
  ConfigureOverlay(LowerOptions(names, overlay.append_layers), label);
}

void MountPlanner::OpenBindRootfs() {
  root_ = OpenPrivateTree(spec_.root_path, true, "open root file system " + spec_.root_path);
}

}  // namespace fermata::runtime
