// ImageStore: the images of this machine, their layers and the snapshots on them. One instance owns a data
// directory (the caller sees to that with a lock):
//
//   images.db          records                      layers/<name>/        one unpacked layer each
//   blobs/sha256/<hex> manifests, configurations    snapshots/<id>/       writable tops of containers
//   frames/<name>      what of a layer's tar is not in its directory (tar_frame.h)
//   staging/           what is being made or deleted; swept by Open
//   reserve            room for the records of a removal when the disk is full
//
// Layer blobs are not kept: the unpacked layer serves every use there is, and they would double the disk.
// Thread-safe. Find, Get and List read an immutable catalog and touch neither disk nor the locks of writers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/blob_provider.h"
#include "overlay/image/image.h"
#include "overlay/image/image_records.h"
#include "overlay/image/layer_flights.h"
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

struct AddOptions {
  const Cancellation* cancellation = nullptr;  // the caller's; nothing else ends by it
  LayerObserver observer;
  // After a failure the layers that did come stay until the next collection, so that a retry need not fetch them.
  bool keep_layers = false;
};

struct RemovedName {
  std::string name;            // what is not there any more
  bool image_removed = false;  // it was the last one, and the image has gone with it
};

// One layer that is not what was unpacked, and why.
struct DamagedLayer {
  std::string image_id, diff_id, reason;
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
  Result<std::vector<ImagePtr>> Import(int archive_fd, const std::string& name, const AddOptions& options = {});
  // The same for documents that are checked already, with layers from `blobs`. A layer that others are adding now is
  // waited for.
  Result<std::vector<ImagePtr>> Add(std::shared_ptr<const BlobProvider> blobs, const std::vector<NewImage>& images,
                                    const AddOptions& options = {});
  // Everything under way fails with kCancelled, later too: the daemon ends.
  void CancelImports() { flights_->CancelAll(); }

  // One more tag of an image; it moves away from the image that had it. kNotFound, kInvalidArgument.
  Result<> Tag(std::string_view reference, const std::string& new_tag);
  // Takes away one name, and the image with the last of its tags. An id, or its beginning, means the image with all its
  // names, which has to have one tag at most. kNotFound; kFailedPrecondition: an id of an image with several tags.
  Result<RemovedName> RemoveName(std::string_view reference);
  // Removes the image with all its names; an unknown one is no error. Layers go with the last image and
  // snapshot that use them. Works on a full disk too.
  Result<> Remove(std::string_view reference);

  // Reads all layers of the image, or of all images if it is empty, and compares them with what was unpacked.
  Result<std::vector<DamagedLayer>> Verify(std::string_view reference, const Cancellation& cancellation);
  // Unpacks the layer anew from `blobs`, in place of the damaged one. kFailedPrecondition while a container uses it.
  Result<> Repair(const Image& image, const std::string& diff_id, std::shared_ptr<const BlobProvider> blobs,
                  const Cancellation& cancellation);

  // A document (manifest, configuration) by its digest, as it came. kNotFound.
  [[nodiscard]] Result<std::string> ReadDocument(const std::string& digest) const;
  // The layer's tar as it was unpacked; the caller compares the digest. Keeps what it reads. kNotFound: removed, or
  // unpacked by a version that kept no frames.
  [[nodiscard]] Result<std::unique_ptr<ByteSource>> OpenLayerTar(const std::string& diff_id);
  // A file without a name, on the disk of the store; gone with its descriptor.
  [[nodiscard]] Result<UniqueFd> TemporaryFile() const;
  // Layers that nobody needs go; those that failed pulls have left, too.
  Result<> Collect() { return CollectLayers(); }
  [[nodiscard]] uint64_t LayerBytes(const std::string& diff_id) const;  // on disk; 0 when it is not there

  // A read-only view of the image's files (overlay_mount.h), cached; the caller's own descriptor. For
  // reading: what is below is the image's word, so open it with OpenInRoot.
  Result<UniqueFd> OpenRoot(const Image& image);

  // See SnapshotStore. CreateSnapshot: kNotFound when the image, or one of `volumes`, was removed meanwhile.
  Result<Snapshot> CreateSnapshot(const std::string& id, const Image& image, std::span<const ImagePtr> volumes = {});
  [[nodiscard]] Result<Snapshot> GetSnapshot(const std::string& id) const { return snapshots_->Get(id); }
  Result<> RemoveSnapshot(const std::string& id);
  [[nodiscard]] std::vector<std::string> ListSnapshots() const { return snapshots_->List(); }
  [[nodiscard]] Result<TreeUsage> SnapshotUsage(const std::string& id, const std::function<bool()>& stop = {}) const {
    return snapshots_->Usage(id, stop);
  }

  [[nodiscard]] Result<FsUsage> Usage() const;

 private:
  struct Batch;    // the documents of one Add on their way; image_add.cc
  struct Landing;  // a layer on its way; layer_landing.cc

  ImageStore(std::string data_dir, UniqueFd data_fd, ImageRecords records, ImageStoreOptions options);
  Result<> Load();
  Result<> LoadLayers();
  Result<Image> LoadImage(const ImageRecord& record) const;
  Result<std::string> LoadBlob(const std::string& digest) const;
  Result<> SweepLayers();
  Result<> SweepBlobs();

  // layer_landing.cc: what a flight does.
  Result<> LandLayer(const LayerTask& task, const Cancellation& cancellation, const LayerFlights::Progress& progress);
  // Makes "layer" and "frame" in the scratch directory, and fills in all of `layer` but its name.
  Result<> UnpackInto(int scratch, const LayerTask& task, LayerRecord& layer, const Cancellation& cancellation,
                      const LayerFlights::Progress& progress) const;
  Result<> CommitLayer(Landing& landing);
  Result<> CommitLayers(std::span<Landing* const> landings);

  Result<> StageBlobs(Batch& batch) const;
  Result<std::vector<ImagePtr>> Commit(Batch& batch);
  Result<> MoveIntoPlace(Batch& batch);
  void UndoMoves(const Batch& batch);

  // image_change.cc
  Result<> ReplaceNames(const ImagePtr& image, std::vector<std::string> tags);
  Result<DamagedLayer> VerifyLayer(const Image& image, const std::string& diff_id, const Cancellation& cancellation);

  [[nodiscard]] std::shared_ptr<const Catalog> catalog() const;
  void Publish(Catalog catalog);
  // The layers of `image`, top first, held; kNotFound if it is not in the catalog any more.
  Result<LayerNames> HoldLayers(const Image& image);
  // With write_mutex_ held: forgets layers that nobody needs and, if not empty, the image; gives the places
  // below staging/ where the trees now are, for DeleteTrees without the lock.
  Result<std::vector<std::string>> Forget(const std::string& image_id);
  // The record of an image or layers is taken away; on a full disk with the room of the reserve.
  Result<> RemoveRecords(const std::string& image_id, std::span<const LayerRecord> layers);
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

  std::mutex landing_mutex_;  // of the next three; layers that are ready at once share a syncfs and a record
  std::condition_variable landed_;
  std::vector<Landing*> landings_;  // those whose turn is next
  bool landing_ = false;            // somebody commits

  std::mutex roots_mutex_;                 // of roots_
  std::map<std::string, UniqueFd> roots_;  // of OpenRoot, by image id

  std::unique_ptr<LayerFlights> flights_;  // the last member: flights use all others
};

}  // namespace fermata::overlay
