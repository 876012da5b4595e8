// SnapshotStore: the writable tops of containers, `snapshots/<id>/{upper,work,layers}`. It makes and removes
// directories and never mounts. The file `layers` says which layers a snapshot lies on, so that they stay
// after a restart; it is written without fsync, as a snapshot is worth nothing after a power failure.
// Does not own the directories, only the holds on layers. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "overlay/disk_usage.h"
#include "overlay/layer_store.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

// Names of layers below layers_dir, top first as overlayfs wants them.
using LayerNames = std::vector<std::string>;

// What a snapshot holds: the layers it lies on, and those of the images that its container mounts as volumes.
struct SnapshotLayers {
  LayerNames lower;
  std::vector<LayerNames> volumes;  // in the order that Create was given

  [[nodiscard]] LayerNames All() const;
};

struct Snapshot {
  std::string layers_dir;  // absolute
  SnapshotLayers layers;
  std::string upper, work;  // absolute
};

class SnapshotStore {
 public:
  // `data_dir` has layers/, snapshots/ and staging/; `layers` knows all layers already and outlives this.
  SnapshotStore(std::string data_dir, UniqueFd data_fd, LayerStore& layers);

  // Takes over what an earlier run left, holding its layers; what is wrong comes back as texts. Such a
  // snapshot is still listed, for its owner to remove.
  std::vector<std::string> Load();

  // All of `layers` are held by the caller already; on success the holds are the snapshot's. The new upper directory
  // gets owner and mode of the topmost layer's, because an overlay's root shows those of the upper.
  // kAlreadyExists; kInvalidArgument for an id that is not 64 lower-case hex digits.
  Result<Snapshot> Create(const std::string& id, SnapshotLayers layers);
  // kNotFound; kFailedPrecondition for one that was left damaged.
  Result<Snapshot> Get(const std::string& id) const;
  // Succeeds if there is none; the layers are released before the tree is deleted.
  Result<> Remove(const std::string& id);
  [[nodiscard]] std::vector<std::string> List() const;

  // Of the upper directory; `stop` as in CountTree.
  Result<TreeUsage> Usage(const std::string& id, const std::function<bool()>& stop = {}) const;
  Result<TreeUsage> TotalUsage() const;

 private:
  [[nodiscard]] Snapshot Describe(const std::string& id, SnapshotLayers layers) const;
  Result<> MakeDirectoriesFor(const std::string& id, const SnapshotLayers& layers) const;
  Result<SnapshotLayers> LoadOne(const std::string& id);

  std::string data_dir_;
  UniqueFd data_;
  LayerStore& layers_;
  mutable std::mutex mutex_;                         // of snapshots_
  std::map<std::string, SnapshotLayers> snapshots_;  // by id; empty if damaged
};

}  // namespace fermata::overlay
