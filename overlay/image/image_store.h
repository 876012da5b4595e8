// ImageStore: the images of this machine, their layers and the snapshots on them. One instance owns a data
// directory (the caller sees to that with a lock):
//
//   images.db          records                      layers/<name>/        one unpacked layer each
//   blobs/sha256/<hex> manifests, configurations    snapshots/<id>/       writable tops of containers
//   staging/           what is being made or deleted; swept by Open
//
// Layer blobs are not kept: the unpacked layer serves every use there is, and they would double the disk.
// Thread-safe. Find, Get and List read an immutable catalog and touch neither disk nor the locks of writers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/blob_provider.h"
#include "overlay/image/image.h"
#include "overlay/image/image_records.h"
#include "overlay/image/resolve.h"
#include "overlay/layer_store.h"
#include "overlay/snapshot.h"
#include "overlay/unpack_process.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

struct FsUsage {
  TreeUsage images;     // layers, as measured when they were unpacked, and blobs
  TreeUsage snapshots;  // counted now
};

struct ImageStoreOptions {
  LayerLimits limits;
  std::optional<Unpacker> unpacker;  // nothing: layers are unpacked in this process (tests without root)
  std::function<int64_t()> now_ns;   // for Image::created_at_ns; empty: the system's clock
};

class ImageStore {
 public:
  // Makes what is missing below `data_dir` (absolute), sweeps what a crash left, loads the rest.
  static Result<std::unique_ptr<ImageStore>> Open(const std::string& data_dir, ImageStoreOptions options = {});

  // What Open had to leave out: a text for each damaged image, layer or snapshot, for the caller to log. Such
  // an image is not listed; importing it again heals it, Remove with its id forgets it.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

  // As Catalog::Get; nullptr for every failure.
  [[nodiscard]] ImagePtr Find(std::string_view reference) const;
  [[nodiscard]] Result<ImagePtr> Get(std::string_view reference) const;
  [[nodiscard]] std::vector<ImagePtr> List() const;

  // Adds the images of an archive (ImageArchive) under `name` or their own names (ResolveIndex). All or nothing.
  // kInvalidArgument: bad input; kResourceExhausted: disk, or the limits of the unpacker.
  Result<std::vector<ImagePtr>> Import(int archive_fd, const std::string& name);
  // The same for documents that are checked already, with layers from `blobs`.
  Result<std::vector<ImagePtr>> Add(const BlobProvider& blobs, const std::vector<NewImage>& images);
  // Imports under way fail with kCancelled, later ones too: the daemon ends.
  void CancelImports();
  // Removes the image with all its names; an unknown one is no error. Layers go with the last image and
  // snapshot that use them.
  Result<> Remove(std::string_view reference);

  // A read-only view of the image's files (overlay_mount.h), cached; the caller's own descriptor. For
  // reading: what is below is the image's word, so open it with OpenInRoot.
  Result<UniqueFd> OpenRoot(const Image& image);

  // See SnapshotStore. CreateSnapshot: kNotFound when the image was removed meanwhile.
  Result<Snapshot> CreateSnapshot(const std::string& id, const Image& image);
  [[nodiscard]] Result<Snapshot> GetSnapshot(const std::string& id) const { return snapshots_->Get(id); }
  Result<> RemoveSnapshot(const std::string& id);
  [[nodiscard]] std::vector<std::string> ListSnapshots() const { return snapshots_->List(); }
  [[nodiscard]] Result<TreeUsage> SnapshotUsage(const std::string& id) const { return snapshots_->Usage(id); }

  [[nodiscard]] Result<FsUsage> Usage() const;

 private:
  struct Batch;     // one Add on its way; image_add.cc
  struct NewLayer;  // of a Batch

  ImageStore(std::string data_dir, UniqueFd data_fd, ImageRecords records, ImageStoreOptions options);
  Result<> Load();
  Result<> LoadLayers();
  Result<Image> LoadImage(const ImageRecord& record) const;
  Result<std::string> LoadBlob(const std::string& digest) const;
  Result<> SweepLayers();
  Result<> SweepBlobs();

  Result<> UnpackMissing(Batch& batch);
  Result<TreeUsage> UnpackOne(const Batch& batch, const NewLayer& layer, const Cancellation& cancellation) const;
  Result<> StageBlobs(Batch& batch) const;
  Result<std::vector<ImagePtr>> Commit(Batch& batch);
  Result<> MoveIntoPlace(Batch& batch);
  void UndoMoves(const Batch& batch);

  [[nodiscard]] std::shared_ptr<const Catalog> catalog() const;
  void Publish(Catalog catalog);
  // The layers of `image`, top first, held; kNotFound if it is not in the catalog any more.
  Result<std::vector<std::string>> HoldLayers(const Image& image);
  // With write_mutex_ held: forgets layers that nobody needs and, if not empty, the image; gives the places
  // below staging/ where the trees now are, for DeleteTrees without the lock.
  Result<std::vector<std::string>> Forget(const std::string& image_id);
  Result<> DeleteTrees(const std::vector<std::string>& trees) const;
  Result<> CollectLayers();

  const std::string data_dir_;
  const UniqueFd data_;
  const ImageStoreOptions options_;
  std::vector<std::string> problems_;  // Open only
  LayerStore layers_;
  std::unique_ptr<SnapshotStore> snapshots_;

  std::mutex write_mutex_;  // of the next two and every change of layers/, blobs/; held across fsync
  ImageRecords records_;
  std::map<std::string, ImageRecord> damaged_;  // by id: not listed, but their layers stay

  mutable std::mutex catalog_mutex_;  // of the pointer; held for its copy only
  std::shared_ptr<const Catalog> catalog_ = std::make_shared<const Catalog>();

  std::mutex imports_mutex_;         // of the next two
  std::set<Cancellation*> imports_;  // those under way
  bool imports_cancelled_ = false;

  std::mutex roots_mutex_;                 // of roots_
  std::map<std::string, UniqueFd> roots_;  // of OpenRoot, by image id
};

}  // namespace fermata::overlay
