// LayerFlights: every layer that is missing is fetched and unpacked once, for all who wait for it at that time.
//
// A flight is begun by one caller, with that caller's blobs, and flies as long as anybody waits for it: a caller that
// gives up hurts nobody else. Thread-safe. The flights have threads of their own; a caller's thread waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "overlay/cancellation.h"
#include "overlay/image/blob_provider.h"
#include "overlay/image/config.h"
#include "overlay/layer_store.h"
#include "runtime/base/result.h"
#include "runtime/base/task_pool.h"

namespace fermata::overlay {

struct LayerTask {
  std::string diff_id;
  Descriptor blob;
  std::shared_ptr<const BlobProvider> blobs;  // may be read after the caller has gone
};

enum class LayerState : uint8_t { kWaiting, kFetching, kStoring, kDone, kPresent };

struct LayerStatus {
  std::string digest;  // of the blob
  uint64_t size_bytes = 0;
  uint64_t fetched_bytes = 0;  // 0 to the end where the unpacker reads the blob itself
  LayerState state = LayerState::kWaiting;
};
// How far a caller's layers are, bottom first. Runs on the caller's thread.
using LayerObserver = std::function<void(std::span<const LayerStatus>)>;

class LayerFlights {
 public:
  // How the one who lands a layer tells of its progress.
  struct Progress {
    std::function<void(uint64_t bytes)> fetched;
    std::function<void()> storing;
  };
  // Fetches, unpacks and records one layer, and leaves it held once in the LayerStore. Ends soon after the
  // cancellation.
  using Land = std::function<Result<>(const LayerTask&, const Cancellation&, const Progress&)>;

  // `layers` has to outlive this.
  LayerFlights(LayerStore& layers, Land land) : layers_(layers), land_(std::move(land)) {}
  LayerFlights(const LayerFlights&) = delete;
  LayerFlights& operator=(const LayerFlights&) = delete;
  ~LayerFlights() { CancelAll(); }  // and waits, by tasks_

  // Returns when all layers are there, held for the caller. kCancelled by `cancellation`, or CancelAll.
  Result<HeldLayers> Await(std::vector<LayerTask> tasks, const Cancellation& cancellation,
                           const LayerObserver& observer);

  // All flights end and all who wait get kCancelled, later ones too.
  void CancelAll();

 private:
  struct Flight;
  class Wait;

  void Fly(const std::shared_ptr<Flight>& flight);
  // These with mutex_ held.
  void Tell(const Flight& flight);  // those who wait for it
  void SendSuccessor(Flight& flight);

  LayerStore& layers_;
  const Land land_;

  std::mutex mutex_;                                        // of the next two and of all in Flight that is not atomic
  std::map<std::string, std::shared_ptr<Flight>> flights_;  // by diff id
  bool ending_ = false;
  std::condition_variable ended_;  // a flight has

  TaskPool tasks_;  // the last member: its destructor waits for flights, which use the others
};

}  // namespace fermata::overlay
