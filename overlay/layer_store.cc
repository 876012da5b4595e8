#include "overlay/layer_store.h"

#include <algorithm>

namespace fermata::overlay {
namespace {

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";

std::string ToBase36(uint64_t number) {
  std::string text;
  do {
    text += kDigits[number % kDigits.size()];
    number /= kDigits.size();
  } while (number != 0);
  std::reverse(text.begin(), text.end());
  return text;
}

}  // namespace

bool IsLayerName(std::string_view text) {
  return !text.empty() && text.size() <= 12 && text.find_first_not_of(kDigits) == std::string_view::npos;
}

// The set is sorted, so claims are taken in one order and two callers cannot wait for each other.
LayerStore::Claim::Claim(LayerStore& store, const std::set<std::string>& diff_ids) : store_(store) {
  std::unique_lock lock(store_.mutex_);
  for (const std::string& diff_id : diff_ids) {
    store_.claim_ended_.wait(lock, [&] { return !store_.claimed_.contains(diff_id); });
    if (const auto found = store_.layers_.find(diff_id); found != store_.layers_.end()) {
      ++found->second.holds;
      held_.insert(diff_id);
    } else {
      store_.claimed_.insert(diff_id);
      missing_.insert(diff_id);
    }
  }
}

LayerStore::Claim::~Claim() {
  const std::lock_guard lock(store_.mutex_);
  for (const std::string& diff_id : held_) --store_.layers_[diff_id].holds;
  for (const std::string& diff_id : missing_) store_.claimed_.erase(diff_id);
  store_.claim_ended_.notify_all();
}

void LayerStore::Claim::Unpacked(std::span<const LayerRecord> layers) {
  const std::lock_guard lock(store_.mutex_);
  for (const LayerRecord& layer : layers) {
    store_.AddLocked(layer);
    ++store_.layers_[layer.diff_id].holds;
    held_.insert(layer.diff_id);
  }
}

void LayerStore::AddLocked(const LayerRecord& layer) {
  layers_[layer.diff_id] = {layer, 0};
  names_[layer.name] = layer.diff_id;
}

void LayerStore::Add(std::span<const LayerRecord> layers) {
  const std::lock_guard lock(mutex_);
  for (const LayerRecord& layer : layers) AddLocked(layer);
}

bool LayerStore::Hold(std::span<const std::string> names) {
  const std::lock_guard lock(mutex_);
  if (!std::all_of(names.begin(), names.end(), [&](const std::string& name) { return names_.contains(name); })) {
    return false;
  }
  for (const std::string& name : names) ++layers_[names_[name]].holds;
  return true;
}

void LayerStore::Release(std::span<const std::string> names) {
  const std::lock_guard lock(mutex_);
  for (const std::string& name : names) --layers_[names_[name]].holds;
}

std::vector<LayerRecord> LayerStore::TakeUnreferenced(const std::set<std::string>& referenced) {
  const std::lock_guard lock(mutex_);
  std::vector<LayerRecord> taken;
  for (auto next = layers_.begin(); next != layers_.end();) {
    if (next->second.holds != 0 || referenced.contains(next->first)) {
      ++next;
      continue;
    }
    taken.push_back(next->second.record);
    names_.erase(next->second.record.name);
    next = layers_.erase(next);
  }
  return taken;
}

std::vector<std::string> LayerStore::NamesOf(std::span<const std::string> diff_ids) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const std::string& diff_id : diff_ids) {
    const auto found = layers_.find(diff_id);
    names.push_back(found == layers_.end() ? "" : found->second.record.name);
  }
  return names;
}

std::vector<std::string> LayerStore::FreeNames(size_t count) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> free;
  for (uint64_t number = 1; free.size() < count; ++number) {
    if (std::string name = ToBase36(number); !names_.contains(name)) free.push_back(std::move(name));
  }
  return free;
}

TreeUsage LayerStore::Usage() const {
  const std::lock_guard lock(mutex_);
  TreeUsage sum;
  for (const auto& [diff_id, entry] : layers_) {
    sum.bytes += entry.record.usage.bytes;
    sum.inodes += entry.record.usage.inodes;
  }
  return sum;
}

}  // namespace fermata::overlay
