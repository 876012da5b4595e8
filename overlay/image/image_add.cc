// How images come into the ImageStore: their layers first (layer_landing.cc), then documents: aside, fsync, rename,
// record. Until the record is committed all that was made lies in staging/ or is moved back there, so that a failure or
// a crash leaves nothing.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "overlay/image/archive.h"
#include "overlay/image/image_store.h"
#include "overlay/image/reference.h"
#include "overlay/image/scratch.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

Error WithDiskMeaning(Error error) {
  const bool full = error.saved_errno() == ENOSPC || error.saved_errno() == EDQUOT;
  return full ? std::move(error).WithCode(ErrorCode::kResourceExhausted) : error;
}

struct Move {
  std::string staged;  // below the scratch directory
  std::string final;   // below the data directory
};

// Each layer once, also where several images or places have it.
std::vector<LayerTask> TasksOf(const std::vector<NewImage>& images, const std::shared_ptr<const BlobProvider>& blobs) {
  std::vector<LayerTask> tasks;
  std::set<std::string> seen;
  for (const NewImage& image : images) {
    for (size_t i = 0; i < image.config.diff_ids.size(); ++i) {
      const std::string& diff_id = image.config.diff_ids[i];
      if (seen.insert(diff_id).second) tasks.push_back({diff_id, image.manifest.layers[i], blobs});
    }
  }
  return tasks;
}

ImageRecord RecordOf(const NewImage& image, int64_t now_ns) {
  ImageRecord record{image.id(), image.manifest_digest, 0, now_ns, image.tags, image.digests, image.config.diff_ids};
  record.size_bytes = image.manifest.config.size_bytes;
  for (const Descriptor& layer : image.manifest.layers) record.size_bytes += layer.size_bytes;
  return record;
}

Result<> SyncDirectory(int data, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(data, name, O_RDONLY | O_DIRECTORY));
  if (::fsync(directory.get()) != 0) return Error::Errno("fsync ", name);
  return {};
}

// An archive, with what it reads from, for as long as a flight needs it.
class OwnedArchive : public BlobProvider {
 public:
  static Result<std::shared_ptr<OwnedArchive>> Open(int archive_fd, int data_dir, const std::string& name) {
    auto owned = std::make_shared<OwnedArchive>();
    owned->fd_ = UniqueFd(::fcntl(archive_fd, F_DUPFD_CLOEXEC, 0));
    if (!owned->fd_.valid()) return Error::Errno("fcntl F_DUPFD_CLOEXEC");
    ASSIGN_OR_RETURN(owned->scratch_, Scratch::Make(data_dir));
    ASSIGN_OR_RETURN(owned->archive_, ImageArchive::Open(owned->fd_.get(), owned->scratch_->fd(), name));
    return owned;
  }
  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override {
    return archive_->Open(blob);
  }
  [[nodiscard]] const std::string& index_json() const { return archive_->index_json(); }

 private:
  UniqueFd fd_;
  std::unique_ptr<Scratch> scratch_;
  std::unique_ptr<ImageArchive> archive_;
};

}  // namespace

struct ImageStore::Batch {
  Batch(const std::vector<NewImage>& new_images, Scratch& directory) : images(new_images), scratch(directory) {}

  const std::vector<NewImage>& images;
  Scratch& scratch;
  std::vector<Move> moves;  // done; to be undone if the record fails
};

Result<std::vector<ImagePtr>> ImageStore::Import(int archive_fd, const std::string& name, const AddOptions& options) {
  const auto import = [&]() -> Result<std::vector<ImagePtr>> {
    if (!name.empty()) RETURN_IF_ERROR(ParseReference(name));  // before gigabytes are read
    ASSIGN_OR_RETURN(std::shared_ptr<OwnedArchive> archive, OwnedArchive::Open(archive_fd, data_.get(), name));
    ASSIGN_OR_RETURN(const std::vector<NewImage> images, ResolveIndex(*archive, archive->index_json(), name));
    return Add(std::move(archive), images, options);
  };
  auto imported = import();
  if (!imported) return WithDiskMeaning(std::move(imported).error().Wrap("import image"));
  return imported;
}

Result<std::vector<ImagePtr>> ImageStore::Add(std::shared_ptr<const BlobProvider> blobs,
                                              const std::vector<NewImage>& images, const AddOptions& options) {
  const auto add = [&]() -> Result<std::vector<ImagePtr>> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Cancellation> never, Cancellation::Make());
    const Cancellation& cancellation = options.cancellation != nullptr ? *options.cancellation : *never;
    // Held until the record says that the images have them.
    ASSIGN_OR_RETURN(const HeldLayers layers, flights_->Await(TasksOf(images, blobs), cancellation, options.observer));
    ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(data_.get()));
    Batch batch(images, *scratch);
    RETURN_IF_ERROR(StageBlobs(batch));
    return Commit(batch);
  };
  auto added = add();
  if (added) return added;
  if (!options.keep_layers || added.error().code() == ErrorCode::kResourceExhausted) {
    (void)CollectLayers();  // the next removal or start would do it
  }
  return WithDiskMeaning(std::move(added).error());
}

// Blobs are staged as blob-<hex>, durable before the record that names them.
Result<> ImageStore::StageBlobs(Batch& batch) const {
  for (const NewImage& image : batch.images) {
    const std::pair<std::string, std::string_view> blobs[] = {{image.manifest_digest, image.manifest_json},
                                                              {image.id(), image.config_json}};
    for (const auto& [digest, data] : blobs) {
      const std::string name = "blob-" + HexOf(digest);
      RETURN_IF_ERROR(WriteFileAtomic(batch.scratch.fd(), name, data, 0600), "stage blob");
      ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(batch.scratch.fd(), name, O_RDONLY));
      if (::fsync(file.get()) != 0) return Error::Errno("stage blob: fsync ", name);
    }
  }
  return {};
}

Result<> ImageStore::MoveIntoPlace(Batch& batch) {
  std::vector<Move> wanted;
  std::set<std::string> blobs;
  for (const NewImage& image : batch.images) blobs.insert({HexOf(image.manifest_digest), HexOf(image.id())});
  for (const std::string& hex : blobs) wanted.push_back({"blob-" + hex, "blobs/sha256/" + hex});
  for (const Move& move : wanted) {
    if (::renameat2(batch.scratch.fd(), move.staged.c_str(), data_.get(), move.final.c_str(), RENAME_NOREPLACE) == 0) {
      batch.moves.push_back(move);
      continue;
    }
    if (errno != EEXIST) return Error::Errno("rename ", move.final);
    // The same content, or a damaged copy that this one heals; not to be undone either way.
    if (::renameat(batch.scratch.fd(), move.staged.c_str(), data_.get(), move.final.c_str()) != 0) {
      return Error::Errno("rename ", move.final);
    }
  }
  return SyncDirectory(data_.get(), "blobs/sha256");
}

void ImageStore::UndoMoves(const Batch& batch) {
  for (const Move& move : batch.moves) {
    // What cannot be moved has no record and is swept by Open.
    (void)::renameat(data_.get(), move.final.c_str(), batch.scratch.fd(), move.staged.c_str());
  }
}

Result<std::vector<ImagePtr>> ImageStore::Commit(Batch& batch) {
  const std::lock_guard lock(write_mutex_);
  std::vector<ImageRecord> records;
  for (const NewImage& image : batch.images) records.push_back(RecordOf(image, options_.now_ns()));
  Result<> done = MoveIntoPlace(batch);
  if (done) done = records_.Commit({}, records);
  if (!done) {
    UndoMoves(batch);
    return std::move(done).error().Wrap("commit image");
  }
  const std::shared_ptr<const Catalog> before = catalog();
  std::vector<Image> images;
  std::vector<ImagePtr> added;
  for (const ImageRecord& record : records) {
    ASSIGN_OR_RETURN(images.emplace_back(), LoadImage(record), "commit image");
    damaged_.erase(record.id);
  }
  Publish(before->With(std::move(images)));
  for (const ImageRecord& record : records) {
    added.push_back(catalog()->FindId(record.id));
    const ImagePtr old = before->FindId(record.id);
    if (old == nullptr || old->manifest_digest == record.manifest_digest) continue;
    const std::string unused = "blobs/sha256/" + HexOf(old->manifest_digest);
    (void)::unlinkat(data_.get(), unused.c_str(), 0);  // else swept by Open
  }
  return added;
}

}  // namespace fermata::overlay
