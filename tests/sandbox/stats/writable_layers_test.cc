// Counting in the background: never waited for, one at a time, with a deadline.
#include "sandbox/stats/writable_layers.h"

#include <gtest/gtest.h>

#include <atomic>

namespace fermata::sandbox::stats {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

class WritableLayersTest : public ::testing::Test {
 protected:
  Moment Time() const { return {.wall_ns = now_ns_ + 1000 * kSecond, .steady_ns = now_ns_}; }
  static bool WaitUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 4000; ++i) {
      if (done()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  WritableLayers Make(WritableLayers::Measure measure) {
    return WritableLayers(std::move(measure),
                          {.fresh = std::chrono::seconds(10), .deadline = std::chrono::seconds(30), .rest_factor = 20},
                          [this] { return Time(); });
  }

  std::atomic<int64_t> now_ns_ = 100 * kSecond;
  std::atomic<int> counts_ = 0;
};

TEST_F(WritableLayersTest, AnswersAtOnceAndCountsAfterwards) {
  auto layers = Make([&](const std::string& id, const auto&) -> Result<LayerUsage> {
    ++counts_;
    return LayerUsage{.bytes = id.size(), .inodes = 3};
  });
  EXPECT_EQ(layers.Get("abc"), std::nullopt);
  ASSERT_TRUE(WaitUntil([&] { return layers.Get("abc").has_value(); }));
  const auto usage = layers.Get("abc");
  EXPECT_EQ(usage->bytes, 3U);
  EXPECT_EQ(usage->inodes, 3U);
  EXPECT_EQ(usage->measured_at_ns, 1100 * kSecond);
  for (int i = 0; i < 100; ++i) (void)layers.Get("abc");
  EXPECT_EQ(counts_, 1) << "a fresh count is good enough";
  now_ns_ += 11 * kSecond;
  EXPECT_EQ(layers.Get("abc")->measured_at_ns, 1100 * kSecond) << "the old one until there is a new one";
  EXPECT_TRUE(WaitUntil([&] { return layers.Get("abc")->measured_at_ns == 1111 * kSecond; }));
}

TEST_F(WritableLayersTest, LetsATreeRestThatTookLong) {
  auto layers = Make([&](const std::string&, const auto&) -> Result<LayerUsage> {
    ++counts_;
    now_ns_ += 5 * kSecond;
    return LayerUsage{};
  });
  (void)layers.Get("a");
  ASSERT_TRUE(WaitUntil([&] { return layers.Get("a").has_value(); }));
  now_ns_ += 99 * kSecond;
  (void)layers.Get("a");
  EXPECT_EQ(counts_, 1);
  now_ns_ += 2 * kSecond;
  (void)layers.Get("a");
  EXPECT_TRUE(WaitUntil([&] { return counts_ == 2; }));
}

TEST_F(WritableLayersTest, StopsACountThatHasNoEndAndKeepsTheOldOne) {
  std::atomic<bool> endless = false;
  std::atomic<int> stopped = 0;
  auto layers = Make([&](const std::string&, const auto& stop) -> Result<LayerUsage> {
    ++counts_;
    if (!endless) return LayerUsage{.bytes = 7};
    while (!stop()) now_ns_ += kSecond;
    ++stopped;
    return Error::Make(ErrorCode::kDeadlineExceeded, "stopped");
  });
  (void)layers.Get("a");
  ASSERT_TRUE(WaitUntil([&] { return layers.Get("a").has_value(); }));
  endless = true;
  now_ns_ += 11 * kSecond;
  (void)layers.Get("a");
  ASSERT_TRUE(WaitUntil([&] { return stopped == 1; }));
  EXPECT_EQ(layers.Get("a")->bytes, 7U);
  EXPECT_EQ(layers.Get("a")->measured_at_ns, 1100 * kSecond);
}

TEST_F(WritableLayersTest, ForgetsWhatIsRemovedAlsoWhileItIsCounted) {
  std::atomic<bool> counting = false;
  auto layers = Make([&](const std::string&, const auto& stop) -> Result<LayerUsage> {
    counting = true;
    while (!stop()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    counting = false;
    return LayerUsage{};
  });
  (void)layers.Get("a");
  ASSERT_TRUE(WaitUntil([&] { return counting.load(); }));
  layers.Forget("a");
  EXPECT_TRUE(WaitUntil([&] { return !counting; })) << "the deadline is far away";
}

TEST_F(WritableLayersTest, EndsInTheMiddleOfACount) {
  std::atomic<bool> counting = false;
  auto layers = Make([&](const std::string&, const auto& stop) -> Result<LayerUsage> {
    counting = true;
    while (!stop()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Error::Make(ErrorCode::kDeadlineExceeded, "stopped");
  });
  (void)layers.Get("a");
  EXPECT_TRUE(WaitUntil([&] { return counting.load(); }));
}

TEST(DeviceName, GivesTheNumbersOfADeviceWithoutAName) { EXPECT_EQ(DeviceName(0, 4095), "0:4095"); }

}  // namespace
}  // namespace fermata::sandbox::stats
