#include "overlay/image/layer_flights.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/base/unique_fd.h"

namespace fermata::overlay {
namespace {

// Flights that one caller has under way at once: enough to hide a registry's latency, few enough for two cores.
size_t MaxFlightsOfOne() { return std::clamp<size_t>(std::thread::hardware_concurrency(), 4, 8); }

// A display is told after so many bytes, not at each read.
constexpr uint64_t kTellEveryBytes = uint64_t{512} << 10;

Error Cancelled() { return Error::Make(ErrorCode::kCancelled, "cancelled"); }

// Bad bytes are bad for all who want the same blob, and a full disk is everybody's.
bool IsSameForAll(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kResourceExhausted;
}

}  // namespace

struct LayerFlights::Flight {
  Flight(LayerTask its_task, std::unique_ptr<Cancellation> its_cancellation)
      : task(std::move(its_task)), cancellation(std::move(its_cancellation)) {}

  LayerTask task;  // its blobs are the flight's only until it has ended
  const std::unique_ptr<Cancellation> cancellation;
  std::atomic<uint64_t> fetched_bytes = 0;
  std::atomic<bool> storing = false;

  std::map<int, const LayerTask*> waiters;  // by event descriptor, with what each would fly
  int starter = -1;                         // of the waiters; -1: it has left, or this is a second try
  bool is_second = false;
  bool ended = false;
  std::optional<Error> error;
  std::shared_ptr<Flight> successor;  // where all but the starter go on after a failure
};

// One caller of Await. Leaves the flights that it still waits for when it goes.
class LayerFlights::Wait {
 public:
  Wait(LayerFlights& flights, UniqueFd event, std::vector<LayerTask> tasks)
      : flights_(flights), event_(std::move(event)), held_(flights.layers_) {
    for (LayerTask& task : tasks) items_.push_back({std::move(task)});
    // Large ones first, so that the flights end together.
    for (Item& item : items_) large_first_.push_back(&item);
    std::stable_sort(large_first_.begin(), large_first_.end(),
                     [](const Item* a, const Item* b) { return a->task.blob.size_bytes > b->task.blob.size_bytes; });
  }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  ~Wait() {
    std::unique_lock lock(flights_.mutex_);
    for (Item& item : items_) Leave(item);
    // What nobody else waits for is cancelled and ends soon: then nothing of it is left when the caller hears of the
    // end.
    const auto is_over = [](const Item& item) {
      return item.flight == nullptr || item.flight->ended || !item.flight->waiters.empty();
    };
    flights_.ended_.wait(lock, [&] { return std::all_of(items_.begin(), items_.end(), is_over); });
  }

  // Takes what has ended, joins what others fly, begins what nobody does. True: all are there.
  Result<bool> Advance() {
    const std::lock_guard lock(flights_.mutex_);
    if (flights_.ending_) return Cancelled();
    for (Item& item : items_) RETURN_IF_ERROR(Collect(item));
    for (Item* item : large_first_) {
      if (item->state == LayerState::kWaiting) RETURN_IF_ERROR(Board(*item));
    }
    return std::all_of(items_.begin(), items_.end(), [](const Item& item) { return item.IsThere(); });
  }

  Result<> Sleep(const Cancellation& cancellation) const {
    pollfd entries[] = {{event_.get(), POLLIN, 0}, {cancellation.fd(), POLLIN, 0}};
    while (::poll(entries, 2, -1) < 0) {
      if (errno != EINTR) return Error::Errno("poll");
    }
    if (entries[1].revents != 0) return Cancelled();
    eventfd_t count = 0;
    (void)::eventfd_read(event_.get(), &count);  // fails when there is nothing, which is fine
    return {};
  }

  [[nodiscard]] std::vector<LayerStatus> Report() const {
    std::vector<LayerStatus> report;
    for (const Item& item : items_) {
      LayerStatus status{item.task.blob.digest, item.task.blob.size_bytes, 0, item.state};
      if (item.IsThere()) status.fetched_bytes = status.size_bytes;
      if (item.flight != nullptr) {
        status.fetched_bytes = std::min<uint64_t>(item.flight->fetched_bytes, status.size_bytes);
        if (item.flight->storing) status.state = LayerState::kStoring;
      }
      report.push_back(std::move(status));
    }
    return report;
  }

  HeldLayers TakeHeld() { return std::move(held_); }

 private:
  struct Item {
    LayerTask task;
    LayerState state = LayerState::kWaiting;
    std::shared_ptr<Flight> flight;  // nullptr: not on one
    bool is_mine = false;            // this caller began the flight

    [[nodiscard]] bool IsThere() const { return state == LayerState::kDone || state == LayerState::kPresent; }
  };

  // All of these with the mutex held.
  Result<> Collect(Item& item) {
    // A successor may have ended, too, before we woke.
    while (item.flight != nullptr && item.flight->ended) {
      const std::shared_ptr<Flight> flight = std::exchange(item.flight, nullptr);
      if (item.is_mine) --mine_;
      if (!flight->error) {
        item.state = LayerState::kDone;
        held_.Adopt(item.task.diff_id);  // Fly has taken a hold for each who waited
        return {};
      }
      if (item.is_mine || flight->successor == nullptr) return *flight->error;
      item.flight = flight->successor;  // which has us among its waiters
    }
    return {};
  }

  Result<> Board(Item& item) {
    const std::string& diff_id = item.task.diff_id;
    if (held_.Add(diff_id)) {
      item.state = LayerState::kPresent;
      return {};
    }
    auto found = flights_.flights_.find(diff_id);
    item.is_mine = found == flights_.flights_.end();
    if (item.is_mine) {
      if (mine_ >= MaxFlightsOfOne()) return {};
      ASSIGN_OR_RETURN(auto cancellation, Cancellation::Make());
      const auto flight = std::make_shared<Flight>(item.task, std::move(cancellation));
      flight->starter = event_.get();
      found = flights_.flights_.emplace(diff_id, flight).first;
      flights_.tasks_.Post([&flights = flights_, flight] { flights.Fly(flight); });
      ++mine_;
    }
    item.flight = found->second;
    item.flight->waiters[event_.get()] = &item.task;
    item.state = LayerState::kFetching;
    return {};
  }

  void Leave(Item& item) {
    if (item.flight == nullptr) return;
    while (item.flight->ended && item.flight->successor != nullptr && !item.is_mine)
      item.flight = item.flight->successor;
    if (item.flight->ended) {
      if (!item.flight->error) held_.Adopt(item.task.diff_id);  // to be released with the others
      return;
    }
    item.flight->waiters.erase(event_.get());
    if (item.flight->starter == event_.get()) item.flight->starter = -1;
    if (item.flight->waiters.empty()) item.flight->cancellation->Cancel();
  }

  LayerFlights& flights_;
  const UniqueFd event_;
  std::vector<Item> items_;  // never resized after the constructor
  std::vector<Item*> large_first_;
  HeldLayers held_;
  size_t mine_ = 0;  // flights that this caller began and that have not ended
};

Result<HeldLayers> LayerFlights::Await(std::vector<LayerTask> tasks, const Cancellation& cancellation,
                                       const LayerObserver& observer) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return Error::Errno("eventfd");
  Wait wait(*this, std::move(event), std::move(tasks));
  for (;;) {
    ASSIGN_OR_RETURN(const bool done, wait.Advance());
    if (observer) observer(wait.Report());
    if (done) return wait.TakeHeld();
    RETURN_IF_ERROR(wait.Sleep(cancellation));
  }
}

void LayerFlights::Tell(const Flight& flight) {
  for (const auto& [event, task] : flight.waiters)
    (void)::eventfd_write(event, 1);  // fails when it is readable already
}

void LayerFlights::Fly(const std::shared_ptr<Flight>& flight) {
  Progress progress;
  progress.fetched = [&](uint64_t bytes) {
    const uint64_t before = flight->fetched_bytes.fetch_add(bytes);
    if (before / kTellEveryBytes == (before + bytes) / kTellEveryBytes) return;
    const std::lock_guard lock(mutex_);
    Tell(*flight);
  };
  progress.storing = [&] {
    flight->storing = true;
    const std::lock_guard lock(mutex_);
    Tell(*flight);
  };
  Result<> landed = land_(flight->task, *flight->cancellation, progress);
  const std::lock_guard lock(mutex_);
  const std::string& diff_id = flight->task.diff_id;
  flights_.erase(diff_id);
  flight->ended = true;
  flight->task.blobs.reset();  // they may own files, and whoever waits may want to see them gone
  if (landed) {
    for (size_t i = 0; i < flight->waiters.size(); ++i) (void)layers_.Hold(diff_id);  // held already: cannot fail
    layers_.Release(diff_id);
  } else {
    flight->error = std::move(landed).error();
    SendSuccessor(*flight);
  }
  Tell(*flight);
  ended_.notify_all();
}

// What failed by one's registry or credentials may succeed by another's: once, for all others together. A flight that
// was given up by everybody failed for nobody's reason, so who has come since gets a new one.
void LayerFlights::SendSuccessor(Flight& flight) {
  std::map<int, const LayerTask*> others = flight.waiters;
  others.erase(flight.starter);
  const bool given_up = flight.error->code() == ErrorCode::kCancelled;
  if (ending_ || others.empty() || (!given_up && (flight.is_second || IsSameForAll(*flight.error)))) return;
  auto cancellation = Cancellation::Make();
  if (!cancellation) return;  // then the failure is everybody's
  const auto next = std::make_shared<Flight>(*others.begin()->second, std::move(cancellation).value());
  next->is_second = !given_up;
  next->waiters = std::move(others);
  flights_[next->task.diff_id] = next;
  flight.successor = next;
  tasks_.Post([this, next] { Fly(next); });
}

void LayerFlights::CancelAll() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  for (const auto& [diff_id, flight] : flights_) {
    flight->cancellation->Cancel();
    Tell(*flight);
  }
}

}  // namespace fermata::overlay
