// Flights of layers: who flies, who waits, and what becomes of it when somebody gives up.
#include "overlay/image/layer_flights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "overlay/digest.h"
#include "tests/fixtures/temporary.h"

namespace fermata::overlay {
namespace {

using ::testing::HasSubstr;

// Lands layers when the test says so.
class Airport {
 public:
  Result<> Land(const LayerTask& task, const Cancellation& cancellation) {
    std::unique_lock lock(mutex_);
    ++flights_[task.diff_id];
    changed_.notify_all();
    while (!open_ && !cancellation.flag()) changed_.wait_for(lock, std::chrono::milliseconds(1));
    if (cancellation.flag()) return Error::Make(ErrorCode::kCancelled, "cancelled");
    if (failure_) return *failure_;
    const LayerRecord record{task.diff_id, std::to_string(++names_), {}};
    layers_.AddHeld(std::span(&record, 1));
    return {};
  }
  void Open(std::optional<Error> failure = {}) {
    const std::lock_guard lock(mutex_);
    open_ = true;
    failure_ = std::move(failure);
    changed_.notify_all();
  }
  void WaitForFlights(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return flights_.size() >= count; });
  }
  [[nodiscard]] int FlightsOf(const std::string& diff_id) {
    const std::lock_guard lock(mutex_);
    return flights_[diff_id];
  }

  LayerStore layers_;
  LayerFlights flights{layers_, [this](const LayerTask& task, const Cancellation& cancellation,
                                       const LayerFlights::Progress&) { return Land(task, cancellation); }};

 private:
  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::map<std::string, int> flights_;
  std::optional<Error> failure_;
  bool open_ = false;
  int names_ = 0;
};

LayerTask TaskOf(const std::string& text) {
  LayerTask task;
  task.diff_id = DigestOf(text);
  task.blob.digest = DigestOf("blob of " + text);
  task.blob.size_bytes = text.size();
  return task;
}

class Caller {
 public:
  Caller(Airport& airport, std::vector<LayerTask> tasks) : cancellation_(Cancellation::Make().value()) {
    thread_ = std::jthread([this, &airport, tasks = std::move(tasks)]() mutable {
      const auto observe = [this](std::span<const LayerStatus> layers) {
        for (const LayerStatus& layer : layers) waits_ = waits_ || layer.state == LayerState::kFetching;
      };
      auto held = airport.flights.Await(std::move(tasks), *cancellation_, observe);
      if (held) {
        held_.emplace(std::move(held).value());
      } else {
        error_ = held.error();
      }
    });
  }
  void Cancel() { cancellation_->Cancel(); }
  void Join() { thread_.join(); }
  // Until it is on a flight, or has come to its end.
  void WaitUntilAboard() const {
    while (!waits_) std::this_thread::yield();
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  void Release() { held_.reset(); }

 private:
  std::unique_ptr<Cancellation> cancellation_;
  std::atomic<bool> waits_ = false;
  std::optional<HeldLayers> held_;
  std::optional<Error> error_;
  std::jthread thread_;
};

TEST(LayerFlights, OneFlightServesAllWhoWait) {
  Airport airport;
  std::list<Caller> callers;
  for (int i = 0; i < 50; ++i) callers.emplace_back(airport, std::vector{TaskOf("base")});
  for (Caller& caller : callers) caller.WaitUntilAboard();
  airport.Open();
  for (Caller& caller : callers) caller.Join();
  for (Caller& caller : callers) EXPECT_FALSE(caller.error()) << caller.error()->message();
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 1);
  EXPECT_TRUE(airport.layers_.TakeUnreferenced({}).empty()) << "held by the callers";
  for (Caller& caller : callers) caller.Release();
  EXPECT_EQ(airport.layers_.TakeUnreferenced({}).size(), 1U) << "held by nobody any more";
}

TEST(LayerFlights, WhoeverBeganMayLeaveAndTheOthersArrive) {
  Airport airport;
  Caller first(airport, {TaskOf("base")});
  first.WaitUntilAboard();
  std::list<Caller> others;
  for (int i = 0; i < 10; ++i) others.emplace_back(airport, std::vector{TaskOf("base")});
  for (Caller& caller : others) caller.WaitUntilAboard();
  first.Cancel();
  first.Join();
  ASSERT_TRUE(first.error());
  EXPECT_EQ(first.error()->code(), ErrorCode::kCancelled);
  airport.Open();
  for (Caller& caller : others) caller.Join();
  for (Caller& caller : others) EXPECT_FALSE(caller.error()) << caller.error()->message();
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 1);
}

TEST(LayerFlights, WithTheLastWhoWaitsTheFlightEndsBeforeTheCallerHearsOfIt) {
  Airport airport;
  Caller only(airport, {TaskOf("base"), TaskOf("top")});
  airport.WaitForFlights(2);
  only.Cancel();
  only.Join();
  EXPECT_EQ(only.error()->code(), ErrorCode::kCancelled);
  airport.Open();
  Caller next(airport, {TaskOf("base")});  // begins anew
  next.Join();
  EXPECT_FALSE(next.error());
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 2);
}

TEST(LayerFlights, BadBytesFailAllWhoWantTheSameBlobAtOnce) {
  Airport airport;
  std::list<Caller> callers;
  for (int i = 0; i < 20; ++i) callers.emplace_back(airport, std::vector{TaskOf("base")});
  for (Caller& caller : callers) caller.WaitUntilAboard();
  airport.Open(Error::Make(ErrorCode::kInvalidArgument, "wrong digest"));
  for (Caller& caller : callers) caller.Join();
  for (Caller& caller : callers) {
    ASSERT_TRUE(caller.error());
    EXPECT_THAT(caller.error()->message(), HasSubstr("wrong digest"));
  }
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 1);
}

TEST(LayerFlights, AFailureOfOnesRegistryIsTriedOnceMoreByAnother) {
  Airport airport;
  std::list<Caller> callers;
  for (int i = 0; i < 20; ++i) callers.emplace_back(airport, std::vector{TaskOf("base")});
  for (Caller& caller : callers) caller.WaitUntilAboard();
  airport.Open(Error::Make(ErrorCode::kUnavailable, "no route"));
  for (Caller& caller : callers) caller.Join();
  for (Caller& caller : callers) EXPECT_TRUE(caller.error());
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 2) << "not once for each of them";
}

TEST(LayerFlights, WhatIsThereNeedsNoFlight) {
  Airport airport;
  const LayerRecord record{DigestOf("base"), "1", {}};
  airport.layers_.Add(std::span(&record, 1));
  Caller caller(airport, {TaskOf("base")});
  caller.Join();
  EXPECT_FALSE(caller.error());
  EXPECT_EQ(airport.FlightsOf(DigestOf("base")), 0);
}

TEST(LayerFlights, OneCallerFliesAFewAtATime) {
  Airport airport;
  std::vector<LayerTask> tasks;
  for (int i = 0; i < 40; ++i) tasks.push_back(TaskOf(std::to_string(i)));
  Caller caller(airport, tasks);
  airport.WaitForFlights(4);
  airport.Open();
  caller.Join();
  EXPECT_FALSE(caller.error());
  for (const LayerTask& task : tasks) EXPECT_EQ(airport.FlightsOf(task.diff_id), 1);
}

TEST(LayerFlights, TheEndCancelsAllAndWhoComesLater) {
  Airport airport;
  Caller caller(airport, {TaskOf("base")});
  caller.WaitUntilAboard();
  airport.flights.CancelAll();
  caller.Join();
  EXPECT_EQ(caller.error()->code(), ErrorCode::kCancelled);
  Caller later(airport, {TaskOf("other")});
  later.Join();
  EXPECT_EQ(later.error()->code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace fermata::overlay
