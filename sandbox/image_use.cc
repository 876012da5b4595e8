#include "sandbox/image_use.h"

#include <algorithm>

#include "overlay/image/reference.h"

namespace fermata::sandbox {
namespace {

bool Fits(const std::string& pattern, const std::string& name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  const auto reference = overlay::ParseReference(pattern);
  return reference && (name == reference->Tagged() || name == reference->Digested());
}

}  // namespace

bool IsPinned(const std::vector<std::string>& patterns, const overlay::Image& image) {
  const auto any = [&](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return Fits(pattern, name); });
  };
  return std::any_of(image.repo_tags.begin(), image.repo_tags.end(), any) ||
         std::any_of(image.repo_digests.begin(), image.repo_digests.end(), any);
}

std::set<std::string> ImagesInUse(const Engine& engine) {
  std::set<std::string> ids;
  for (const ContainerPtr& container : engine.store->Containers()) {
    ids.insert(container->image_id);
    for (const ContainerMount& mount : container->spec.mounts) {
      if (!mount.image_id.empty()) ids.insert(mount.image_id);
    }
  }
  return ids;
}

Result<PruneResult> PruneImages(Engine& engine, bool all, bool dry_run) {
  const std::set<std::string> used = ImagesInUse(engine);
  PruneResult result;
  std::set<std::string> kept_layers;
  std::set<std::string> doomed_layers;
  for (const overlay::ImagePtr& image : engine.images->List()) {
    const bool doomed = (all || image->repo_tags.empty()) && !used.contains(image->id) &&
                        !IsPinned(engine.config.pinned_images, *image);
    if (doomed) result.images.push_back(image);
    auto& layers = doomed ? doomed_layers : kept_layers;
    layers.insert(image->config.diff_ids.begin(), image->config.diff_ids.end());
  }
  for (const std::string& diff_id : doomed_layers) {
    if (!kept_layers.contains(diff_id)) result.freed_bytes += engine.images->LayerBytes(diff_id);
  }
  if (dry_run) return result;
  for (const overlay::ImagePtr& image : result.images) RETURN_IF_ERROR(engine.images->Remove(image->id), "prune");
  RETURN_IF_ERROR(engine.images->Collect(), "prune");
  return result;
}

}  // namespace fermata::sandbox
