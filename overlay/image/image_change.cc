// Changes of images that are there: names, and the healing of damaged layers.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "overlay/image/image_store.h"
#include "overlay/image/reference.h"
#include "overlay/image/scratch.h"
#include "overlay/tar_frame.h"
#include "overlay/tree_checksum.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The name in `image` that `reference` is, or empty where it is an id.
std::string NameIn(const Image& image, std::string_view reference) {
  const auto parsed = ParseReference(reference);
  if (!parsed) return {};
  const std::string name = parsed->digest.empty() ? parsed->Tagged() : parsed->Digested();
  return Contains(image.repo_tags, name) || Contains(image.repo_digests, name) ? name : "";
}

// The digests in the repository of `tag`, if it is the last tag of it.
void AddOrphanedDigests(const Image& image, const std::string& tag, std::vector<std::string>& names) {
  const std::string repository = tag.substr(0, tag.rfind(':'));
  const auto is_other = [&](const std::string& other) { return other != tag && other.starts_with(repository + ":"); };
  if (std::any_of(image.repo_tags.begin(), image.repo_tags.end(), is_other)) return;
  for (const std::string& digest : image.repo_digests) {
    if (digest.starts_with(repository + "@")) names.push_back(digest);
  }
}

}  // namespace

Result<> ImageStore::Tag(std::string_view reference, const std::string& new_tag) {
  const std::string context = "tag " + std::string(reference);
  ASSIGN_OR_RETURN(const Reference tag, ParseReference(new_tag), context);
  if (!tag.digest.empty()) return Error::Make(ErrorCode::kInvalidArgument, context, ": ", new_tag, ": has a digest");
  const std::lock_guard lock(write_mutex_);
  ASSIGN_OR_RETURN(const ImagePtr image, Get(reference), context);
  ImageRecord record{image->id,        image->manifest_digest, image->size_bytes,     image->created_at_ns,
                     image->repo_tags, image->repo_digests,    image->config.diff_ids};
  if (!Contains(record.repo_tags, tag.Tagged())) record.repo_tags.push_back(tag.Tagged());
  RETURN_IF_ERROR(records_.Commit({}, std::span(&record, 1)), context);
  Image changed = *image;
  changed.repo_tags = record.repo_tags;
  Publish(catalog()->With({std::move(changed)}));
  return {};
}

Result<RemovedName> ImageStore::RemoveName(std::string_view reference) {
  const std::string context = "remove " + std::string(reference);
  ASSIGN_OR_RETURN(const ImagePtr image, Get(reference), context);
  const std::string name = NameIn(*image, reference);
  if (name.empty() && image->repo_tags.size() > 1) {
    return Error::Make(ErrorCode::kFailedPrecondition, context, ": the image has several names (", image->repo_tags[0],
                       ", ", image->repo_tags[1], ", ...): remove those, or use --force");
  }
  const bool is_tag = Contains(image->repo_tags, name);
  const size_t others = is_tag ? image->repo_tags.size() - 1 : image->repo_tags.size();
  if (name.empty() || others == 0) {
    RETURN_IF_ERROR(Remove(image->id));
    return RemovedName{name.empty() ? image->id : name, true};
  }
  const std::lock_guard lock(write_mutex_);
  std::vector<std::string> names = {name};
  if (is_tag) AddOrphanedDigests(*image, name, names);
  for (const std::string& gone : names) {
    RETURN_IF_ERROR(records_.RemoveName(gone), context);
    Publish(catalog()->WithoutName(gone));
  }
  return RemovedName{name, false};
}

Result<std::vector<DamagedLayer>> ImageStore::Verify(std::string_view reference, const Cancellation& cancellation) {
  std::vector<ImagePtr> images;
  if (reference.empty()) {
    images = List();
  } else {
    ASSIGN_OR_RETURN(images.emplace_back(), Get(reference), "verify");
  }
  std::vector<DamagedLayer> damaged;
  std::map<std::string, std::string> known;  // diff ids of layers that were read, and what was wrong
  for (const ImagePtr& image : images) {
    for (const std::string& diff_id : image->config.diff_ids) {
      auto [found, is_new] = known.try_emplace(diff_id);
      if (is_new) {
        ASSIGN_OR_RETURN(DamagedLayer layer, VerifyLayer(*image, diff_id, cancellation), "verify");
        found->second = std::move(layer.reason);
      }
      if (!found->second.empty()) damaged.push_back({image->id, diff_id, found->second});
    }
  }
  return damaged;
}

// Without a reason: it is whole.
Result<DamagedLayer> ImageStore::VerifyLayer(const Image& image, const std::string& diff_id,
                                             const Cancellation& cancellation) {
  DamagedLayer layer{image.id, diff_id, ""};
  HeldLayers held(layers_);
  if (!held.Add(diff_id)) return layer;  // removed meanwhile
  const std::optional<LayerRecord> record = layers_.Find(diff_id);
  if (!record || record->checksum == 0) {
    layer.reason = "no checksum was kept when it was unpacked";
    return layer;
  }
  const auto sum = ChecksumTree(data_.get(), "layers/" + record->name, &cancellation.flag());
  if (!sum && sum.error().code() == ErrorCode::kCancelled) return sum.error();
  if (!sum) {
    layer.reason = sum.error().message();
  } else if (*sum != record->checksum) {
    layer.reason = "its files are not what was unpacked";
  }
  return layer;
}

Result<> ImageStore::Repair(const Image& image, const std::string& diff_id, std::shared_ptr<const BlobProvider> blobs,
                            const Cancellation& cancellation) {
  const std::string context = "repair layer " + diff_id;
  const auto at = std::find(image.config.diff_ids.begin(), image.config.diff_ids.end(), diff_id);
  ASSIGN_OR_RETURN(const std::string manifest_json, ReadDocument(image.manifest_digest), context);
  ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(manifest_json), context);
  const auto index = static_cast<size_t>(at - image.config.diff_ids.begin());
  if (index >= manifest.layers.size()) {
    return Error::Make(ErrorCode::kInternal, context, ": not a layer of ", image.id);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(data_.get()), context);
  const LayerTask task{diff_id, manifest.layers[index], std::move(blobs)};
  LayerRecord unpacked;
  RETURN_IF_ERROR(UnpackInto(scratch->fd(), task, unpacked, cancellation, {[](uint64_t) {}, [] {}}), context);
  if (::syncfs(data_.get()) != 0) return Error::Errno(context, ": syncfs");
  const std::lock_guard lock(write_mutex_);
  auto replaced = layers_.ChangeUnheld(diff_id, [&](LayerRecord& record) -> Result<> {
    LayerRecord changed = record;
    changed.usage = unpacked.usage;
    changed.checksum = unpacked.checksum;
    const std::string place = "layers/" + record.name;
    if (::renameat2(scratch->fd(), "layer", data_.get(), place.c_str(), RENAME_EXCHANGE) != 0) {
      return Error::Errno("exchange ", place);
    }
    if (::renameat(scratch->fd(), "frame", data_.get(), ("frames/" + record.name).c_str()) != 0) {
      return Error::Errno("rename frames/", record.name);
    }
    RETURN_IF_ERROR(records_.Commit(std::span(&changed, 1), {}));  // else the old checksum finds it damaged again
    record = changed;
    return {};
  });
  if (!replaced) return std::move(replaced).error().Wrap(context);
  const std::lock_guard roots_lock(roots_mutex_);
  roots_.clear();  // mounts of the damaged one
  return {};
}

Result<std::string> ImageStore::ReadDocument(const std::string& digest) const {
  auto document = LoadBlob(digest);
  if (!document) return std::move(document).error().WithCode(ErrorCode::kNotFound);
  return document;
}

namespace {

// Owns what a TarFrameReader reads from.
class LayerTar : public ByteSource {
 public:
  LayerTar(HeldLayers held, UniqueFd frame, UniqueFd layer)
      : held_(std::move(held)),
        frame_(std::move(frame)),
        layer_(std::move(layer)),
        reader_(frame_.get(), layer_.get()) {}
  Result<size_t> Read(std::span<char> buffer) override { return reader_.Read(buffer); }

 private:
  HeldLayers held_;
  UniqueFd frame_, layer_;
  TarFrameReader reader_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> ImageStore::OpenLayerTar(const std::string& diff_id) {
  HeldLayers held(layers_);
  const std::string context = "layer " + diff_id;
  if (!held.Add(diff_id)) return Error::Make(ErrorCode::kNotFound, context, ": not there any more");
  const std::string name = layers_.Find(diff_id)->name;
  auto frame = OpenAt(data_.get(), "frames/" + name, O_RDONLY);
  if (!frame) {
    return std::move(frame)
        .error()
        .Wrap(context + ": it was unpacked without one, pull or import it again")
        .WithCode(ErrorCode::kNotFound);
  }
  ASSIGN_OR_RETURN(UniqueFd layer, OpenAt(data_.get(), "layers/" + name, O_RDONLY | O_DIRECTORY), context);
  return std::unique_ptr<ByteSource>(
      std::make_unique<LayerTar>(std::move(held), std::move(frame).value(), std::move(layer)));
}

Result<UniqueFd> ImageStore::TemporaryFile() const { return OpenAt(data_.get(), ".", O_RDWR | O_TMPFILE, 0600); }

uint64_t ImageStore::LayerBytes(const std::string& diff_id) const {
  const auto record = layers_.Find(diff_id);
  return record ? record->usage.bytes : 0;
}

}  // namespace fermata::overlay
