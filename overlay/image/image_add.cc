// How images come into the ImageStore: unpack aside, syncfs, rename, record. Until the record is committed
// all that was made lies in staging/ or is moved back there, so that a failure or a crash leaves nothing.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <system_error>
#include <thread>

#include "overlay/image/archive.h"
#include "overlay/image/image_store.h"
#include "overlay/image/reference.h"
#include "runtime/base/file.h"
#include "runtime/base/random_id.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxUnpackThreads = 8;

// A directory below staging/ that goes away with this object. What cannot be deleted, Open sweeps.
class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> Make(int data) {
    ASSIGN_OR_RETURN(const std::string id, RandomId());
    ASSIGN_OR_RETURN(UniqueFd staging, OpenAt(data, "staging", O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(UniqueFd directory, MakeDirectories(staging.get(), id, 0700));
    return std::make_unique<Scratch>(std::move(staging), std::move(directory), id);
  }
  Scratch(UniqueFd staging, UniqueFd directory, std::string name)
      : staging_(std::move(staging)), directory_(std::move(directory)), name_(std::move(name)) {}
  Scratch(const Scratch&) = delete;
  ~Scratch() { (void)RemoveTree(staging_.get(), name_); }
  [[nodiscard]] int fd() const { return directory_.get(); }

 private:
  UniqueFd staging_;
  UniqueFd directory_;
  std::string name_;
};

Error WithDiskMeaning(Error error) {
  const bool full = error.saved_errno() == ENOSPC || error.saved_errno() == EDQUOT;
  return full ? std::move(error).WithCode(ErrorCode::kResourceExhausted) : error;
}

struct Move {
  std::string staged;  // below the scratch directory
  std::string final;   // below the data directory
};

// Runs `work` for 0..count-1 on several threads; the first error, and after it nothing new is begun.
Result<> ForEachInParallel(size_t count, Cancellation& cancellation, const std::function<Result<>(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;  // of first_error
  std::optional<Error> first_error;
  const auto run = [&] {
    for (size_t index = next++; index < count && !cancellation.flag(); index = next++) {
      auto done = work(index);
      if (done) continue;
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::move(done).error();  // others are cancelled only after this
      cancellation.Cancel();
    }
  };
  const size_t threads =
      std::min({count, kMaxUnpackThreads, size_t{std::max(1U, std::thread::hardware_concurrency())}});
  {
    std::vector<std::jthread> helpers;
    try {
      while (helpers.size() + 1 < threads) helpers.emplace_back(run);
    } catch (const std::system_error&) {
      // As many as there are: this thread alone can do it too.
    }
    run();
  }
  if (first_error) return *std::move(first_error);
  if (cancellation.flag()) return Error::Make(ErrorCode::kCancelled, "cancelled");
  return {};
}

std::set<std::string> DiffIdsOf(const std::vector<NewImage>& images) {
  std::set<std::string> diff_ids;
  for (const NewImage& image : images) diff_ids.insert(image.config.diff_ids.begin(), image.config.diff_ids.end());
  return diff_ids;
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

}  // namespace

struct ImageStore::NewLayer {
  Descriptor blob;
  std::string diff_id;
  TreeUsage usage;

  [[nodiscard]] std::string staged() const { return HexOf(diff_id); }
};

struct ImageStore::Batch {
  Batch(const BlobProvider& provider, const std::vector<NewImage>& new_images, LayerStore& store, Scratch& directory)
      : blobs(provider), images(new_images), scratch(directory), claim(store, DiffIdsOf(new_images)) {}

  const BlobProvider& blobs;
  const std::vector<NewImage>& images;
  Scratch& scratch;
  LayerStore::Claim claim;
  std::vector<NewLayer> layers;      // those that were missing
  std::vector<LayerRecord> records;  // of layers, in the same order
  std::vector<Move> moves;           // done; to be undone if the record fails
};

Result<std::vector<ImagePtr>> ImageStore::Import(int archive_fd, const std::string& name) {
  const auto import = [&]() -> Result<std::vector<ImagePtr>> {
    if (!name.empty()) RETURN_IF_ERROR(ParseReference(name));  // before gigabytes are read
    ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(data_.get()));
    ASSIGN_OR_RETURN(const std::unique_ptr<ImageArchive> archive, ImageArchive::Open(archive_fd, scratch->fd(), name));
    ASSIGN_OR_RETURN(const std::vector<NewImage> images, ResolveIndex(*archive, archive->index_json(), name));
    return Add(*archive, images);
  };
  auto imported = import();
  if (!imported) return WithDiskMeaning(std::move(imported).error().Wrap("import image"));
  return imported;
}

Result<std::vector<ImagePtr>> ImageStore::Add(const BlobProvider& blobs, const std::vector<NewImage>& images) {
  const auto add = [&]() -> Result<std::vector<ImagePtr>> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(data_.get()));
    Batch batch(blobs, images, layers_, *scratch);
    RETURN_IF_ERROR(UnpackMissing(batch));
    RETURN_IF_ERROR(StageBlobs(batch));
    if (::syncfs(scratch->fd()) != 0) return Error::Errno("syncfs");
    return Commit(batch);
  };
  auto added = add();
  if (added) return added;
  // The claim may have been the last to need a layer whose image was removed meanwhile.
  (void)CollectLayers();  // the next removal or start would do it
  return WithDiskMeaning(std::move(added).error());
}

void ImageStore::CancelImports() {
  const std::lock_guard lock(imports_mutex_);
  imports_cancelled_ = true;
  for (Cancellation* import : imports_) import->Cancel();
}

Result<> ImageStore::UnpackMissing(Batch& batch) {
  std::set<std::string> missing = batch.claim.missing();
  for (const NewImage& image : batch.images) {
    for (size_t i = 0; i < image.config.diff_ids.size(); ++i) {
      const std::string& diff_id = image.config.diff_ids[i];
      if (missing.erase(diff_id) != 0) batch.layers.push_back({image.manifest.layers[i], diff_id, {}});
    }
  }
  // Large ones first, so that the threads end together.
  std::sort(batch.layers.begin(), batch.layers.end(),
            [](const NewLayer& a, const NewLayer& b) { return a.blob.size_bytes > b.blob.size_bytes; });
  ASSIGN_OR_RETURN(const std::unique_ptr<Cancellation> cancellation, Cancellation::Make());
  {
    const std::lock_guard lock(imports_mutex_);
    imports_.insert(cancellation.get());
    if (imports_cancelled_) cancellation->Cancel();
  }
  auto unpacked = ForEachInParallel(batch.layers.size(), *cancellation, [&](size_t index) -> Result<> {
    NewLayer& layer = batch.layers[index];
    ASSIGN_OR_RETURN(layer.usage, UnpackOne(batch, layer, *cancellation));
    return {};
  });
  const std::lock_guard lock(imports_mutex_);
  imports_.erase(cancellation.get());
  return unpacked;
}

Result<TreeUsage> ImageStore::UnpackOne(const Batch& batch, const NewLayer& layer,
                                        const Cancellation& cancellation) const {
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(batch.scratch.fd(), layer.staged(), 0700));
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, batch.blobs.Open(layer.blob));
  const LayerBlob blob{layer.blob.digest, layer.blob.size_bytes, layer.diff_id};
  if (options_.unpacker) {
    return UnpackConfined(*options_.unpacker, *source, blob, directory.get(), options_.limits, cancellation);
  }
  ASSIGN_OR_RETURN(const UnpackedLayer unpacked,
                   UnpackLayer(*source, blob, directory.get(), {options_.limits, &cancellation.flag()}));
  return unpacked.usage;
}

// Blobs are staged as blob-<hex>: a layer's directory has the bare digits.
Result<> ImageStore::StageBlobs(Batch& batch) const {
  for (const NewImage& image : batch.images) {
    const std::pair<std::string, std::string_view> blobs[] = {{image.manifest_digest, image.manifest_json},
                                                              {image.id(), image.config_json}};
    for (const auto& [digest, data] : blobs) {
      RETURN_IF_ERROR(WriteFileAtomic(batch.scratch.fd(), "blob-" + HexOf(digest), data, 0600), "stage blob");
    }
  }
  return {};
}

Result<> ImageStore::MoveIntoPlace(Batch& batch) {
  const std::vector<std::string> names = layers_.FreeNames(batch.layers.size());
  std::vector<Move> wanted;
  for (size_t i = 0; i < names.size(); ++i) {
    const NewLayer& layer = batch.layers[i];
    batch.records.push_back({layer.diff_id, names[i], layer.usage});
    wanted.push_back({layer.staged(), "layers/" + names[i]});
  }
  std::set<std::string> blobs;
  for (const NewImage& image : batch.images) blobs.insert({HexOf(image.manifest_digest), HexOf(image.id())});
  for (const std::string& hex : blobs) wanted.push_back({"blob-" + hex, "blobs/sha256/" + hex});
  for (const Move& move : wanted) {
    const bool is_blob = move.final.starts_with("blobs/");
    if (::renameat2(batch.scratch.fd(), move.staged.c_str(), data_.get(), move.final.c_str(), RENAME_NOREPLACE) == 0) {
      batch.moves.push_back(move);
      continue;
    }
    if (!is_blob || errno != EEXIST) return Error::Errno("rename ", move.final);
    // The same content, or a damaged copy that this one heals; not to be undone either way.
    if (::renameat(batch.scratch.fd(), move.staged.c_str(), data_.get(), move.final.c_str()) != 0) {
      return Error::Errno("rename ", move.final);
    }
  }
  RETURN_IF_ERROR(SyncDirectory(data_.get(), "layers"));
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
  if (done) done = records_.Commit(batch.records, records);
  if (!done) {
    UndoMoves(batch);
    return std::move(done).error().Wrap("commit image");
  }
  batch.claim.Unpacked(batch.records);
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
