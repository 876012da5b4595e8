// Order, replay, and readers that are slow or never read.
#include "sandbox/events/event_hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>

#include "tests/sandbox/events/records.h"

namespace fermata::sandbox {
namespace {

class Counter : public EventHub::Listener {
 public:
  void OnNews() override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    called_.notify_all();
  }
  bool WaitCalled() {
    std::unique_lock lock(mutex_);
    const bool called = called_.wait_for(lock, std::chrono::seconds(20), [this] { return calls_ > 0; });
    calls_ = 0;
    return called;
  }

 private:
  std::mutex mutex_;
  std::condition_variable called_;
  int calls_ = 0;
};

class EventHubTest : public ::testing::Test {
 protected:
  void Create(int number) {
    hub_.Publish(ContainerChange(nullptr, MakeContainer(std::to_string(number), "s", ContainerState::kCreated)));
  }
  static std::string NextId(EventHub::Subscription& subscription) {
    auto event = subscription.Next();
    if (!event) return event.error().message();
    return *event == nullptr ? "none" : (*event)->id;
  }

  std::atomic<int64_t> now_ = int64_t{1'000'000} * 1'000'000'000;
  EventHub hub_{{.replay = 4, .backlog = 16, .replay_age = std::chrono::seconds(60)}, [this] { return now_.load(); }};
  std::shared_ptr<Counter> listener_ = std::make_shared<Counter>();
};

TEST_F(EventHubTest, GivesEveryReaderAllEventsInOrder) {
  const auto one = hub_.Subscribe(listener_);
  const auto two = hub_.Subscribe(listener_);
  for (int i = 0; i < 10; ++i) Create(i);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(NextId(*one), std::to_string(i));
    EXPECT_EQ(NextId(*two), std::to_string(i));
  }
  EXPECT_EQ(NextId(*one), "none");
  EXPECT_TRUE(listener_->WaitCalled());
}

TEST_F(EventHubTest, TellsWhoComesLaterWhatHappenedLately) {
  for (int i = 0; i < 10; ++i) Create(i);
  EXPECT_EQ(hub_.held(), 4U);
  const auto reader = hub_.Subscribe(listener_);
  EXPECT_TRUE(listener_->WaitCalled()) << "it is woken for what is there already";
  EXPECT_EQ(NextId(*reader), "6");
  now_ += int64_t{61} * 1'000'000'000;
  Create(10);
  const auto later = hub_.Subscribe(listener_);
  EXPECT_EQ(NextId(*later), "10") << "the others are too old";
}

TEST_F(EventHubTest, EndsAReaderThatNeverReadsAndHoldsNoMoreForIt) {
  const auto stuck = hub_.Subscribe(listener_);
  for (int i = 0; i < 16; ++i) Create(i);
  EXPECT_TRUE(stuck->Check());
  EXPECT_EQ(hub_.held(), 16U);
  Create(16);
  const auto lost = stuck->Check();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(stuck->Next());
  EXPECT_EQ(hub_.held(), 4U) << "nobody else has to read them";
}

TEST_F(EventHubTest, IsNotHeldUpByAThousandReadersThatNeverRead) {
  std::vector<std::unique_ptr<EventHub::Subscription>> stuck;
  for (int i = 0; i < 1000; ++i) stuck.push_back(hub_.Subscribe(listener_));
  const auto reader = hub_.Subscribe(listener_);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    Create(i);
    EXPECT_EQ(NextId(*reader), std::to_string(i));
    EXPECT_LE(hub_.held(), 16U);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  for (const auto& subscription : stuck) EXPECT_FALSE(subscription->Check());
}

TEST_F(EventHubTest, EndsEverybodyWhenItEnds) {
  const auto reader = hub_.Subscribe(listener_);
  EXPECT_TRUE(listener_->WaitCalled());
  Create(1);
  hub_.End();
  EXPECT_TRUE(listener_->WaitCalled());
  EXPECT_EQ(reader->Check().error().code(), ErrorCode::kUnavailable);
}

TEST_F(EventHubTest, ForgetsAListenerThatHasGone) {
  auto reader = hub_.Subscribe(listener_);
  listener_ = nullptr;
  Create(1);
  reader = nullptr;
  Create(2);
  EXPECT_EQ(hub_.held(), 2U);
}

}  // namespace
}  // namespace fermata::sandbox
