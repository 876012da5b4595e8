// LayerStore: which layers are unpacked and who needs them. A table in memory only: the directories and
// records are made and removed by ImageStore, which owns this. Thread-safe.
//
// A layer stays while an image of the catalog has it (ImageStore knows), or while it is held: by a snapshot,
// or by an operation between looking it up and recording what it made of it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/disk_usage.h"

namespace fermata::overlay {

struct LayerRecord {
  std::string diff_id;
  std::string name;  // of the directory: a base-36 number, short because overlay options are
  TreeUsage usage;
};

class LayerStore {
 public:
  // The right to unpack what is missing; while it lives, nobody else unpacks the same and what was there
  // stays. Must not outlive the store.
  class Claim {
   public:
    // Waits while another claim has one of `diff_ids` (digests).
    Claim(LayerStore& store, const std::set<std::string>& diff_ids);
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim();
    [[nodiscard]] const std::set<std::string>& missing() const { return missing_; }
    // The caller has recorded these, which were missing.
    void Unpacked(std::span<const LayerRecord> layers);

   private:
    LayerStore& store_;
    std::set<std::string> missing_;
    std::set<std::string> held_;  // diff ids
  };

  LayerStore() = default;
  LayerStore(const LayerStore&) = delete;

  void Add(std::span<const LayerRecord> layers);

  // Holds all of `names` or, if one is unknown, nothing (false). Release takes what Hold held.
  [[nodiscard]] bool Hold(std::span<const std::string> names);
  void Release(std::span<const std::string> names);

  // Takes out what is neither held nor among `referenced` diff ids, for the caller to delete.
  [[nodiscard]] std::vector<LayerRecord> TakeUnreferenced(const std::set<std::string>& referenced);

  // The names of layers by diff id; empty text for those that are not there.
  [[nodiscard]] std::vector<std::string> NamesOf(std::span<const std::string> diff_ids) const;
  [[nodiscard]] std::vector<std::string> FreeNames(size_t count) const;  // shortest first
  [[nodiscard]] TreeUsage Usage() const;

 private:
  struct Entry {
    LayerRecord record;
    uint32_t holds = 0;
  };
  void AddLocked(const LayerRecord& layer);

  mutable std::mutex mutex_;  // of all below
  std::condition_variable claim_ended_;
  std::map<std::string, Entry> layers_;       // by diff id
  std::map<std::string, std::string> names_;  // name to diff id
  std::set<std::string> claimed_;             // diff ids being unpacked
};

// True for a base-36 number in lower case, which is safe as a file name.
bool IsLayerName(std::string_view text);

}  // namespace fermata::overlay
