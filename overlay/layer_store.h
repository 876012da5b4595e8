// LayerStore: which layers are unpacked and who needs them. A table in memory only: the directories and
// records are made and removed by ImageStore, which owns this. Thread-safe.
//
// A layer stays while an image of the catalog has it (ImageStore knows), or while it is held: by a snapshot,
// or by an operation between looking it up and recording what it made of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "overlay/disk_usage.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct LayerRecord {
  std::string diff_id;
  std::string name;  // of the directory: a base-36 number, short because overlay options are
  TreeUsage usage;
  uint64_t checksum = 0;  // tree_checksum.h; 0: from a version that made none
};

class LayerStore {
 public:
  LayerStore() = default;
  LayerStore(const LayerStore&) = delete;

  void Add(std::span<const LayerRecord> layers);
  // The same, each held once from the beginning.
  void AddHeld(std::span<const LayerRecord> layers);

  // Holds all of `names` or, if one is unknown, nothing (false). Release takes what Hold held.
  [[nodiscard]] bool Hold(std::span<const std::string> names);
  void Release(std::span<const std::string> names);
  // The same for one, by diff id.
  [[nodiscard]] bool Hold(const std::string& diff_id);
  void Release(const std::string& diff_id);

  // Takes out what is neither held nor among `referenced` diff ids, for the caller to delete.
  [[nodiscard]] std::vector<LayerRecord> TakeUnreferenced(const std::set<std::string>& referenced);

  // The names of layers by diff id; empty text for those that are not there.
  [[nodiscard]] std::vector<std::string> NamesOf(std::span<const std::string> diff_ids) const;
  [[nodiscard]] std::vector<std::string> FreeNames(size_t count) const;  // shortest first
  // Runs `change` on the record of a layer that nobody holds, and lets nobody hold it meanwhile. kFailedPrecondition:
  // it is held; kNotFound; what `change` says.
  Result<> ChangeUnheld(const std::string& diff_id, const std::function<Result<>(LayerRecord&)>& change);

  [[nodiscard]] std::optional<LayerRecord> Find(const std::string& diff_id) const;
  [[nodiscard]] TreeUsage Usage() const;

 private:
  struct Entry {
    LayerRecord record;
    uint32_t holds = 0;
  };
  void AddLocked(const LayerRecord& layer, uint32_t holds);

  mutable std::mutex mutex_;                  // of all below
  std::map<std::string, Entry> layers_;       // by diff id
  std::map<std::string, std::string> names_;  // name to diff id
};

// Holds of one operation, which end with it. Must not outlive the store; moved-from it holds nothing.
class HeldLayers {
 public:
  explicit HeldLayers(LayerStore& store) : store_(&store) {}
  HeldLayers(HeldLayers&& other) noexcept : store_(other.store_), diff_ids_(std::exchange(other.diff_ids_, {})) {}
  HeldLayers& operator=(HeldLayers&&) = delete;
  ~HeldLayers() {
    for (const std::string& diff_id : diff_ids_) store_->Release(diff_id);
  }
  // False: it is not there.
  [[nodiscard]] bool Add(const std::string& diff_id) {
    if (!store_->Hold(diff_id)) return false;
    Adopt(diff_id);
    return true;
  }
  void Adopt(const std::string& diff_id) { diff_ids_.push_back(diff_id); }  // a hold that somebody else took

 private:
  LayerStore* store_;
  std::vector<std::string> diff_ids_;
};

// True for a base-36 number in lower case, which is safe as a file name.
bool IsLayerName(std::string_view text);

}  // namespace fermata::overlay
