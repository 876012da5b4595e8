// How one layer comes into the ImageStore: unpacked aside, made durable by syncfs, renamed, recorded. Until the record
// is committed it lies in staging/, so that a failure or a crash leaves nothing. Layers that are ready at the same time
// share one syncfs and one transaction.
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "overlay/image/image_store.h"
#include "overlay/image/scratch.h"
#include "overlay/tree_checksum.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

// In the scratch directory.
constexpr const char* kStaged = "layer";
constexpr const char* kStagedFrame = "frame";

struct Place {
  const char* staged;
  std::string folder;  // of the store
};
const Place kPlaces[] = {{kStaged, "layers/"}, {kStagedFrame, "frames/"}};

// Tells what was read of a source. A source that the unpacker reads itself stays one.
class CountedSource : public ByteSource {
 public:
  CountedSource(ByteSource& inner, const std::function<void(uint64_t)>& tell) : inner_(inner), tell_(tell) {}
  Result<size_t> Read(std::span<char> buffer) override {
    auto count = inner_.Read(buffer);
    if (count && *count != 0) tell_(*count);
    return count;
  }
  [[nodiscard]] std::optional<Extent> extent() const override { return inner_.extent(); }
  void Interrupt() override { inner_.Interrupt(); }

 private:
  ByteSource& inner_;
  const std::function<void(uint64_t)>& tell_;
};

}  // namespace

struct ImageStore::Landing {
  int scratch = -1;
  LayerRecord layer;  // without a name until it is committed
  bool over = false;
  Result<> result;
};

Result<> ImageStore::LandLayer(const LayerTask& task, const Cancellation& cancellation,
                               const LayerFlights::Progress& progress) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(data_.get()));
  Landing landing{.scratch = scratch->fd()};
  landing.layer.diff_id = task.diff_id;
  RETURN_IF_ERROR(UnpackInto(scratch->fd(), task, landing.layer, cancellation, progress));
  if (cancellation.flag()) return Error::Make(ErrorCode::kCancelled, "cancelled");
  return CommitLayer(landing);
}

Result<> ImageStore::UnpackInto(int scratch, const LayerTask& task, LayerRecord& layer,
                                const Cancellation& cancellation, const LayerFlights::Progress& progress) const {
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(scratch, kStaged, 0700));
  ASSIGN_OR_RETURN(const UniqueFd frame, OpenAt(scratch, kStagedFrame, O_WRONLY | O_CREAT | O_EXCL, 0600));
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, task.blobs->Open(task.blob));
  CountedSource counted(*source, progress.fetched);
  const LayerBlob blob{task.blob.digest, task.blob.size_bytes, task.diff_id};
  if (options_.unpacker) {
    const UnpackTarget target{directory.get(), frame.get(), options_.limits};
    ASSIGN_OR_RETURN(layer.usage, UnpackConfined(*options_.unpacker, counted, blob, target, cancellation));
  } else {
    const UnpackOptions options{options_.limits, &cancellation.flag(), frame.get()};
    ASSIGN_OR_RETURN(const UnpackedLayer unpacked, UnpackLayer(counted, blob, directory.get(), options));
    layer.usage = unpacked.usage;
  }
  progress.storing();
  ASSIGN_OR_RETURN(layer.checksum, ChecksumTree(scratch, kStaged, &cancellation.flag()));
  return {};
}

// Who comes while somebody commits waits, and the first of those then commits for all of them.
Result<> ImageStore::CommitLayer(Landing& landing) {
  std::unique_lock lock(landing_mutex_);
  landings_.push_back(&landing);
  while (!landing.over) {
    if (landing_) {
      landed_.wait(lock);
      continue;
    }
    landing_ = true;
    const std::vector<Landing*> batch = std::exchange(landings_, {});
    lock.unlock();
    const Result<> result = CommitLayers(batch);
    lock.lock();
    for (Landing* done : batch) {
      done->result = result;
      done->over = true;
    }
    landing_ = false;
    landed_.notify_all();
  }
  return landing.result;
}

Result<> ImageStore::CommitLayers(std::span<Landing* const> landings) {
  if (::syncfs(data_.get()) != 0) return Error::Errno("syncfs");
  const std::lock_guard lock(write_mutex_);
  const std::vector<std::string> names = layers_.FreeNames(landings.size());
  std::vector<LayerRecord> records;
  const auto move_all = [&]() -> Result<> {
    for (size_t i = 0; i < landings.size(); ++i) {
      LayerRecord& layer = landings[i]->layer;
      layer.name = names[i];
      records.push_back(layer);
      for (const auto& [staged, folder] : kPlaces) {
        const std::string place = folder + layer.name;
        if (::renameat2(landings[i]->scratch, staged, data_.get(), place.c_str(), RENAME_NOREPLACE) != 0) {
          return Error::Errno("rename ", place);
        }
      }
    }
    for (const char* const folder : {"layers", "frames"}) {
      ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(data_.get(), folder, O_RDONLY | O_DIRECTORY));
      if (::fsync(directory.get()) != 0) return Error::Errno("fsync ", folder);
    }
    return records_.Commit(records, {});
  };
  Result<> done = move_all();
  if (done) {
    layers_.AddHeld(records);
    return {};
  }
  for (size_t i = 0; i < records.size(); ++i) {
    // What cannot be moved, or was not, has no record and is swept by Open.
    for (const auto& [staged, folder] : kPlaces) {
      (void)::renameat(data_.get(), (folder + names[i]).c_str(), landings[i]->scratch, staged);
    }
  }
  return std::move(done).error().Wrap("commit layers");
}

}  // namespace fermata::overlay
