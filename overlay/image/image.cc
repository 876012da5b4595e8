#include "overlay/image/image.h"

#include <algorithm>
#include <set>

#include "overlay/digest.h"
#include "overlay/image/reference.h"

namespace fermata::overlay {
namespace {

constexpr std::string_view kIdPrefix = "sha256:";

void RemoveNames(std::vector<std::string>& names, const std::set<std::string>& moved) {
  std::erase_if(names, [&](const std::string& name) { return moved.contains(name); });
}

void MergeNames(std::vector<std::string>& names, const std::vector<std::string>& more) {
  names.insert(names.end(), more.begin(), more.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

Catalog::Catalog(std::vector<ImagePtr> images) {
  for (ImagePtr& image : images) {
    for (const std::string& name : image->repo_tags) by_name_[name] = image;
    for (const std::string& name : image->repo_digests) by_name_[name] = image;
    by_id_[image->id] = std::move(image);
  }
}

ImagePtr Catalog::FindId(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::vector<ImagePtr> Catalog::List() const {
  std::vector<ImagePtr> images;
  for (const auto& [id, image] : by_id_) images.push_back(image);
  return images;
}

Result<ImagePtr> Catalog::Get(std::string_view reference) const {
  const auto missing = [&] {
    return Error::Make(ErrorCode::kNotFound, "image ", reference,
                       ": not there; get it with 'fermata pull' or 'fermata image import'");
  };
  const std::string_view hex = reference.starts_with(kIdPrefix) ? reference.substr(kIdPrefix.size()) : reference;
  if (IsLowerHex(hex) && hex.size() == 64) {
    ImagePtr image = FindId(std::string(kIdPrefix).append(hex));
    return image != nullptr ? Result<ImagePtr>(std::move(image)) : missing();
  }
  const auto parsed = ParseReference(reference);
  if (!parsed) return parsed.error();
  const std::string name = parsed->digest.empty() ? parsed->Tagged() : parsed->Digested();
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
  if (IsLowerHex(hex) && hex.size() < 64) {
    ASSIGN_OR_RETURN(ImagePtr image, GetByPrefix(hex, reference));
    if (image != nullptr) return image;
  }
  return missing();
}

Result<ImagePtr> Catalog::GetByPrefix(std::string_view hex, std::string_view reference) const {
  const std::string prefix = std::string(kIdPrefix).append(hex);
  const auto first = by_id_.lower_bound(prefix);
  if (first == by_id_.end() || !first->first.starts_with(prefix)) return ImagePtr();
  const auto second = std::next(first);
  if (second != by_id_.end() && second->first.starts_with(prefix)) {
    return Error::Make(ErrorCode::kInvalidArgument, "image ", reference, ": is the beginning of ", first->first,
                       " and ", second->first);
  }
  return first->second;
}

Catalog Catalog::With(std::vector<Image> images) const {
  std::map<std::string, ImagePtr> all = by_id_;
  for (Image& image : images) {
    std::set<std::string> names(image.repo_tags.begin(), image.repo_tags.end());
    names.insert(image.repo_digests.begin(), image.repo_digests.end());
    for (auto& [id, other] : all) {
      Image changed = *other;
      RemoveNames(changed.repo_tags, names);
      RemoveNames(changed.repo_digests, names);
      const size_t left = changed.repo_tags.size() + changed.repo_digests.size();
      if (left != other->repo_tags.size() + other->repo_digests.size()) {
        other = std::make_shared<const Image>(std::move(changed));
      }
    }
    if (const auto known = all.find(image.id); known != all.end()) {
      MergeNames(image.repo_tags, known->second->repo_tags);
      MergeNames(image.repo_digests, known->second->repo_digests);
      image.created_at_ns = known->second->created_at_ns;
    }
    MergeNames(image.repo_tags, {});
    MergeNames(image.repo_digests, {});
    const std::string id = image.id;
    all[id] = std::make_shared<const Image>(std::move(image));
  }
  std::vector<ImagePtr> list;
  for (const auto& [id, image] : all) list.push_back(image);
  return Catalog(std::move(list));
}

Catalog Catalog::Without(const std::string& id) const {
  std::vector<ImagePtr> images = List();
  std::erase_if(images, [&](const ImagePtr& image) { return image->id == id; });
  return Catalog(std::move(images));
}

Catalog Catalog::WithoutName(const std::string& name) const {
  std::vector<ImagePtr> images = List();
  for (ImagePtr& image : images) {
    Image changed = *image;
    RemoveNames(changed.repo_tags, {name});
    RemoveNames(changed.repo_digests, {name});
    image = std::make_shared<const Image>(std::move(changed));
  }
  return Catalog(std::move(images));
}

}  // namespace fermata::overlay
