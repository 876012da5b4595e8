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

void LayerStore::AddLocked(const LayerRecord& layer, uint32_t holds) {
  layers_[layer.diff_id] = {layer, holds};
  names_[layer.name] = layer.diff_id;
}

void LayerStore::Add(std::span<const LayerRecord> layers) {
  const std::lock_guard lock(mutex_);
  for (const LayerRecord& layer : layers) AddLocked(layer, 0);
}

void LayerStore::AddHeld(std::span<const LayerRecord> layers) {
  const std::lock_guard lock(mutex_);
  for (const LayerRecord& layer : layers) AddLocked(layer, 1);
}

bool LayerStore::Hold(const std::string& diff_id) {
  const std::lock_guard lock(mutex_);
  const auto found = layers_.find(diff_id);
  if (found == layers_.end()) return false;
  ++found->second.holds;
  return true;
}

void LayerStore::Release(const std::string& diff_id) {
  const std::lock_guard lock(mutex_);
  --layers_[diff_id].holds;
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

Result<> LayerStore::ChangeUnheld(const std::string& diff_id, const std::function<Result<>(LayerRecord&)>& change) {
  const std::lock_guard lock(mutex_);
  const auto found = layers_.find(diff_id);
  if (found == layers_.end()) return Error::Make(ErrorCode::kNotFound, "layer ", diff_id, ": not there any more");
  if (found->second.holds != 0) {
    return Error::Make(ErrorCode::kFailedPrecondition, "a container uses it: remove that first");
  }
  return change(found->second.record);
}

std::optional<LayerRecord> LayerStore::Find(const std::string& diff_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = layers_.find(diff_id);
  return found == layers_.end() ? std::nullopt : std::optional(found->second.record);
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
