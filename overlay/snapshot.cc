#include "overlay/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "overlay/digest.h"
#include "runtime/base/file.h"
#include "runtime/base/random_id.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxRecordBytes = 65536;
constexpr std::string_view kRecordEnd = "end";
constexpr std::string_view kVolume = "+";  // no name of a layer: those of one more volume follow

bool IsSnapshotId(std::string_view id) { return id.size() == 64 && IsLowerHex(id); }

// One name a line, top first, and a last line that a record cut short does not have.
std::string EncodeRecord(const SnapshotLayers& layers) {
  std::string record;
  const auto append = [&record](const LayerNames& names) {
    for (const std::string& name : names) record.append(name).append("\n");
  };
  append(layers.lower);
  for (const LayerNames& volume : layers.volumes) {
    record.append(kVolume).append("\n");
    append(volume);
  }
  return record.append(kRecordEnd).append("\n");
}

Result<SnapshotLayers> DecodeRecord(std::string_view record) {
  SnapshotLayers layers;
  while (!record.empty()) {
    const size_t newline = record.find('\n');
    const std::string_view line = record.substr(0, newline);
    if (newline == std::string_view::npos) break;
    record.remove_prefix(newline + 1);
    // "end" reads as a number too; only the last line is the mark.
    if (line == kRecordEnd && record.empty() && !layers.lower.empty()) return layers;
    if (line == kVolume) {
      layers.volumes.emplace_back();
      continue;
    }
    if (!IsLayerName(line)) break;
    (layers.volumes.empty() ? layers.lower : layers.volumes.back()).emplace_back(line);
  }
  return Error::Make(ErrorCode::kFailedPrecondition, "the record of its layers is damaged");
}

}  // namespace

LayerNames SnapshotLayers::All() const {
  LayerNames all = lower;
  for (const LayerNames& volume : volumes) all.insert(all.end(), volume.begin(), volume.end());
  return all;
}

SnapshotStore::SnapshotStore(std::string data_dir, UniqueFd data_fd, LayerStore& layers)
    : data_dir_(std::move(data_dir)), data_(std::move(data_fd)), layers_(layers) {}

Result<SnapshotLayers> SnapshotStore::LoadOne(const std::string& id) {
  ASSIGN_OR_RETURN(const std::string record, ReadFileAt(data_.get(), "snapshots/" + id + "/layers", kMaxRecordBytes));
  ASSIGN_OR_RETURN(SnapshotLayers layers, DecodeRecord(record));
  if (!layers_.Hold(layers.All())) {
    return Error::Make(ErrorCode::kFailedPrecondition, "one of its layers is not there");
  }
  return layers;
}

std::vector<std::string> SnapshotStore::Load() {
  std::vector<std::string> problems;
  const auto directory = OpenAt(data_.get(), "snapshots", O_RDONLY | O_DIRECTORY);
  const auto ids = directory ? ListDirectory(directory->get()) : Result<std::vector<std::string>>(directory.error());
  if (!ids) return {ids.error().message()};
  const std::lock_guard lock(mutex_);
  for (const std::string& id : *ids) {
    if (!IsSnapshotId(id)) {
      problems.push_back("snapshots/" + id + ": not a snapshot, left alone");
      continue;
    }
    auto layers = LoadOne(id);
    if (!layers) problems.push_back("snapshot " + id + ": " + layers.error().message());
    snapshots_[id] = layers ? std::move(layers).value() : SnapshotLayers{};
  }
  return problems;
}

Snapshot SnapshotStore::Describe(const std::string& id, SnapshotLayers layers) const {
  const std::string directory = data_dir_ + "/snapshots/" + id;
  return {data_dir_ + "/layers", std::move(layers), directory + "/upper", directory + "/work"};
}

// Made aside and renamed, so that a snapshot is whole or absent.
Result<> SnapshotStore::MakeDirectoriesFor(const std::string& id, const SnapshotLayers& layers) const {
  ASSIGN_OR_RETURN(const std::string aside, RandomId());
  const std::string made = "staging/" + aside;
  struct stat root {};
  const std::string top = "layers/" + layers.lower.front();
  if (::fstatat(data_.get(), top.c_str(), &root, AT_SYMLINK_NOFOLLOW) != 0) return Error::Errno("stat ", top);
  if (::mkdirat(data_.get(), made.c_str(), 0700) != 0) return Error::Errno("mkdir ", made);
  const auto fill = [&]() -> Result<> {
    ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(data_.get(), made, O_RDONLY | O_DIRECTORY));
    if (::mkdirat(directory.get(), "upper", 0700) != 0) return Error::Errno("mkdir upper");
    if (::mkdirat(directory.get(), "work", 0700) != 0) return Error::Errno("mkdir work");
    if (::geteuid() == 0 && ::fchownat(directory.get(), "upper", root.st_uid, root.st_gid, 0) != 0) {
      return Error::Errno("chown upper");
    }
    if (::fchmodat(directory.get(), "upper", root.st_mode & 07777, 0) != 0) return Error::Errno("chmod upper");
    ASSIGN_OR_RETURN(const UniqueFd record, OpenAt(directory.get(), "layers", O_WRONLY | O_CREAT | O_EXCL, 0600));
    RETURN_IF_ERROR(WriteAll(record.get(), EncodeRecord(layers)), "layers");
    const std::string final_name = "snapshots/" + id;
    if (::renameat2(data_.get(), made.c_str(), data_.get(), final_name.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno == EEXIST) return Error::Make(ErrorCode::kAlreadyExists, "it is there already");
    return Error::Errno("rename ", final_name);
  };
  auto filled = fill();
  if (!filled) (void)RemoveTree(data_.get(), made);  // else swept at the next start
  return filled;
}

Result<Snapshot> SnapshotStore::Create(const std::string& id, SnapshotLayers layers) {
  if (!IsSnapshotId(id)) {
    return Error::Make(ErrorCode::kInvalidArgument, "create snapshot ", id.substr(0, 64),
                       ": not 64 lower-case hex digits");
  }
  if (layers.lower.empty()) return Error::Make(ErrorCode::kInvalidArgument, "create snapshot ", id, ": no layers");
  if (auto made = MakeDirectoriesFor(id, layers); !made) {
    const int number = made.error().saved_errno();
    Error error = std::move(made).error().Wrap("create snapshot ", id);
    return number == ENOSPC || number == EDQUOT ? std::move(error).WithCode(ErrorCode::kResourceExhausted) : error;
  }
  const std::lock_guard lock(mutex_);
  snapshots_[id] = layers;
  return Describe(id, std::move(layers));
}

Result<Snapshot> SnapshotStore::Get(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end()) return Error::Make(ErrorCode::kNotFound, "snapshot ", id, ": not there");
  if (found->second.lower.empty())
    return Error::Make(ErrorCode::kFailedPrecondition, "snapshot ", id, ": damaged; remove it");
  return Describe(id, found->second);
}

Result<> SnapshotStore::Remove(const std::string& id) {
  if (!IsSnapshotId(id)) return {};
  ASSIGN_OR_RETURN(const std::string aside, RandomId());
  const std::string from = "snapshots/" + id;
  const std::string to = "staging/" + aside;
  {
    // Renamed under the lock: who removes the same meanwhile finds nothing and leaves the holds alone.
    const std::lock_guard lock(mutex_);
    if (::renameat(data_.get(), from.c_str(), data_.get(), to.c_str()) != 0 && errno != ENOENT) {
      return Error::Errno("remove snapshot ", id, ": rename");
    }
    if (const auto found = snapshots_.find(id); found != snapshots_.end()) {
      layers_.Release(found->second.All());
      snapshots_.erase(found);
    }
  }
  RETURN_IF_ERROR(RemoveTree(data_.get(), to), "remove snapshot ", id);
  return {};
}

std::vector<std::string> SnapshotStore::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, layers] : snapshots_) ids.push_back(id);
  return ids;
}

Result<TreeUsage> SnapshotStore::Usage(const std::string& id, const std::function<bool()>& stop) const {
  ASSIGN_OR_RETURN(const Snapshot snapshot, Get(id));
  return CountTree(data_.get(), "snapshots/" + id + "/upper", stop);
}

Result<TreeUsage> SnapshotStore::TotalUsage() const { return CountTree(data_.get(), "snapshots"); }

}  // namespace fermata::overlay
