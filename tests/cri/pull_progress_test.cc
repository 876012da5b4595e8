// What a pull shows, on a terminal and elsewhere.
#include "cri/cli/pull_progress.h"

#include <gmock/gmock.h>

namespace fermata::cri::cli {
namespace {

using ::fermata::v1::LayerProgress;
using ::fermata::v1::PullProgress;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kStart = std::chrono::steady_clock::time_point(std::chrono::hours(1));

PullProgress One(LayerProgress::State state, uint64_t fetched) {
  PullProgress progress;
  LayerProgress& layer = *progress.add_layers();
  layer.set_digest("sha256:0123456789abcdef");
  layer.set_size_bytes(2'000'000);
  layer.set_fetched_bytes(fetched);
  layer.set_state(state);
  return progress;
}

TEST(PullDisplay, WithoutATerminalALineForEachChange) {
  PullDisplay display(false, 80);
  EXPECT_EQ(display.Update(One(LayerProgress::WAITING, 0), kStart), "");
  EXPECT_EQ(display.Update(One(LayerProgress::FETCHING, 0), kStart), "0123456789ab: downloading (2.0 MB)\n");
  EXPECT_EQ(display.Update(One(LayerProgress::FETCHING, 1'000'000), kStart), "");
  EXPECT_EQ(display.Update(One(LayerProgress::STORING, 2'000'000), kStart), "0123456789ab: storing (2.0 MB)\n");
  EXPECT_EQ(display.Update(One(LayerProgress::DONE, 2'000'000), kStart), "0123456789ab: done (2.0 MB)\n");
}

TEST(PullDisplay, OnATerminalLinesAreDrawnAnewWithBytesAndSpeed) {
  PullDisplay display(true, 120);
  EXPECT_THAT(display.Update(One(LayerProgress::FETCHING, 0), kStart), Not(HasSubstr("\x1b[1A")));
  const std::string half = display.Update(One(LayerProgress::FETCHING, 1'000'000), kStart + std::chrono::seconds(1));
  EXPECT_THAT(half, StartsWith("\x1b[1A0123456789ab  downloading"));
  EXPECT_THAT(half, HasSubstr("[===========>            ] 1.0 MB / 2.0 MB  1.0 MB/s"));
  EXPECT_THAT(display.Update(One(LayerProgress::FETCHING, 2'000'000), kStart + std::chrono::seconds(2)),
              HasSubstr("extracting"));
  EXPECT_THAT(display.Update(One(LayerProgress::PRESENT, 2'000'000), kStart + std::chrono::seconds(3)),
              HasSubstr("already here"));
}

TEST(PullDisplay, LinesFitTheTerminalAndWhatARegistrySaysIsHarmless) {
  PullDisplay display(true, 30);
  PullProgress progress = One(LayerProgress::FETCHING, 1);
  progress.mutable_layers(0)->set_digest("sha256:\x1b[2J");
  const std::string text = display.Update(progress, kStart);
  EXPECT_THAT(text, Not(HasSubstr("\x1b[2J")));
  EXPECT_LE(text.find("\x1b[K"), 30U);
}

}  // namespace
}  // namespace fermata::cri::cli
