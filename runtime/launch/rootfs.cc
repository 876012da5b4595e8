// The root file system of a container, an overlay of layers or a directory, and the images that it has as volumes.
#include <sched.h>
#include <sys/mount.h>

#include <span>

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

constexpr std::string_view kSubPath = "subpath";

}  // namespace

bool MountPlanner::IsImage(const Mount& mount) const {
  return mount.type == "image" && place_.images != nullptr && place_.images->contains(mount.source);
}

// Images first, in the order of their mounts, then the root.
Result<std::vector<MountPlanner::Tree>> MountPlanner::TreesToOpen() {
  std::vector<Tree> trees;
  for (size_t i = 0; i < spec_.mounts.size(); ++i) {
    const Mount& mount = spec_.mounts[i];
    if (!IsImage(mount)) continue;
    ASSIGN_OR_RETURN(MountOptions options, ParseMountOptions(mount.options), "mount on ", mount.destination);
    Tree tree{.mount = i,
              .label = "mount image " + mount.source + " on " + mount.destination,
              .overlay = &place_.images->find(mount.source)->second};
    if (!options.data.empty() && options.data.front().first == kSubPath) tree.sub_path = options.data.front().second;
    options.data.clear();
    options.attributes |= MOUNT_ATTR_RDONLY;
    tree.options = std::move(options);
    trees.push_back(std::move(tree));
  }
  if (place_.overlay != nullptr) {
    Tree root{.mount = {}, .label = "mount overlay", .overlay = place_.overlay};
    root.options.data = {
        {"upperdir", Escaped(place_.overlay->upper)}, {"workdir", Escaped(place_.overlay->work)}, {"volatile", ""}};
    trees.push_back(std::move(root));
  }
  for (Tree& tree : trees) tree.label += " of " + std::to_string(tree.overlay->lower.size()) + " layers";
  return trees;
}

// overlayfs takes a single layer only with an upper directory; the layer itself is that tree then.
void MountPlanner::OpenSingleLayer(Tree& tree) {
  tree.out = OpenPrivateTree(tree.overlay->layers_dir + "/" + tree.overlay->lower.front(), false, tree.label);
  if (place_.user_ns != kNoSlot) MapLayer(tree.out, tree.label);
  AddAttributes(tree.out, tree.options, spec_.mounts[*tree.mount].destination);
}

void MountPlanner::MapLayer(int16_t layer, const std::string& label) {
  PlanStep& map = plan_.Add(Op::kSetAttributes, label + ": map ids of a layer");
  map.fd = layer;
  map.fd2 = place_.user_ns;
  map.c = MS_PRIVATE;
}

void MountPlanner::ConfigureOverlay(Tree& tree, const std::vector<std::string>& names) {
  MountOptions options = LowerOptions(names, tree.overlay->append_layers);
  options.data.insert(options.data.end(), tree.options.data.begin(), tree.options.data.end());
  options.attributes = tree.options.attributes;
  options.recursive_set = tree.options.recursive_set;
  tree.out = NewFilesystem("overlay", "overlay", options, tree.label);
}

void MountPlanner::OpenOverlays(std::span<Tree* const> trees) {
  for (Tree* tree : trees) {
    PlanStep& enter = plan_.Add(Op::kChangeDirectoryHost, tree->label + ": chdir " + tree->overlay->layers_dir);
    enter.text = plan_.Text(tree->overlay->layers_dir);
    ConfigureOverlay(*tree, tree->overlay->lower);
  }
}

// With the ids of the container's user namespace: overlayfs takes idmapped layers, but before 6.18 only attached ones.
// So clones of them are attached in a mount namespace that nobody will see again, on a tmpfs where they have short
// names. The upper directory is not mapped (the root would silently be read-only); it belongs to the mapped root.
void MountPlanner::OpenMappedOverlays(std::span<Tree* const> trees) {
  const std::string label = "map layers";
  std::vector<int16_t> layers;
  for (const Tree* tree : trees) {
    for (const std::string& name : tree->overlay->lower) {
      layers.push_back(OpenTree(tree->overlay->layers_dir + "/" + name, false, tree->label + ": open layer " + name));
      MapLayer(layers.back(), tree->label);
    }
  }
  plan_.Add(Op::kUnshare, label + ": make mount namespace").a = CLONE_NEWNS;
  plan_.Add(Op::kPrivateRoot, label + ": make mounts private");
  MountOptions options;
  options.data = {{"mode", "0700"}, {"size", "65536"}};
  const int16_t scratch = NewFilesystem("tmpfs", "tmpfs", options, label);
  PlanStep& attach = plan_.Add(Op::kMoveMount, label + ": attach tmpfs");
  attach.fd = scratch;
  attach.text = plan_.Text(kAnyDirectory);
  for (size_t i = 0; i < layers.size(); ++i) {
    PlanStep& make = plan_.Add(Op::kMakeDirectory, label);
    make.fd = scratch;
    make.text = plan_.Text(std::to_string(i));
    make.a = 0700;
    PlanStep& move = plan_.Add(Op::kMoveMount, label + ": attach layer");
    move.fd = layers[i];
    move.fd2 = scratch;
    move.text = plan_.Text(std::to_string(i));
  }
  plan_.Add(Op::kChangeDirectoryHost, label).text = plan_.Text(kAnyDirectory);
  size_t next = 0;
  for (Tree* tree : trees) {
    std::vector<std::string> names;
    for (size_t i = 0; i < tree->overlay->lower.size(); ++i) names.push_back(std::to_string(next++));
    ConfigureOverlay(*tree, names);
  }
}

Result<> MountPlanner::OpenLayers() {
  ASSIGN_OR_RETURN(std::vector<Tree> trees, TreesToOpen());
  std::vector<Tree*> overlays;
  for (Tree& tree : trees) {
    if (tree.overlay->upper.empty() && tree.overlay->lower.size() == 1) {
      OpenSingleLayer(tree);
    } else {
      overlays.push_back(&tree);
    }
  }
  if (place_.user_ns == kNoSlot) {
    OpenOverlays(overlays);
  } else if (!overlays.empty()) {
    OpenMappedOverlays(overlays);
  }
  if (!overlays.empty()) plan_.Add(Op::kChangeDirectoryHost, "chdir /").text = plan_.Text("/");
  for (Tree& tree : trees) {
    if (tree.mount) {
      images_[*tree.mount] = std::move(tree);
    } else {
      root_ = tree.out;
    }
  }
  return {};
}

void MountPlanner::OpenBindRootfs() {
  root_ = OpenPrivateTree(spec_.root_path, true, "open root file system " + spec_.root_path);
}

// A part of it can only be cloned where the whole is attached, so that is done outside the root, in what pivot_root
// leaves behind.
void MountPlanner::AttachImage(const Tree& tree) {
  const std::string& destination = spec_.mounts[*tree.mount].destination;
  if (tree.sub_path.empty()) return AttachOn(tree.out, destination, kTargetLikeSource, tree.label);
  const std::string label = tree.label + ": " + tree.sub_path;
  PlanStep& attach = plan_.Add(Op::kMoveMount, label);
  attach.fd = tree.out;
  attach.text = plan_.Text(place_.image_on);
  const int16_t part = OpenTree(tree.sub_path, false, label);
  plan_.Last().fd = tree.out;
  plan_.Last().flags = kBeneath;
  AttachOn(part, destination, kTargetLikeSource, label);
}

}  // namespace fermata::runtime
