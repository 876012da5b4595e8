// Large layers, in parts that come at once.
#include "tests/overlay/registry/pull_fixture.h"

namespace fermata::overlay::testing {
namespace {

class PullInParts : public Pull {
 protected:
  PullInParts() {
    image_ = MakeImage(1000000);
    ServeImage(registry_, image_);
    options_.parallel_from = 500000;
    options_.part_bytes = 65536;
  }
};

TEST_F(PullInParts, GivesThemInOrder) {
  ExpectLayer();
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 16U);
}

TEST_F(PullInParts, TakesTheWholeWhenTheServerKnowsNoRanges) {
  registry_.On(BlobPath(image_), [&](const FakeRequest&) { return FakeAnswer{.body = image_.layer_text}; });
  ExpectLayer();
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 1U);
}

TEST_F(PullInParts, F12SurvivesCutsInEveryPart) {
  registry_.On(BlobPath(image_), [&](const FakeRequest& request) {
    FakeAnswer answer = BlobAnswer(request, image_.layer_text);
    const bool begins_a_part = std::stoul(request.Header("range").substr(6)) % options_.part_bytes == 0;
    if (begins_a_part) answer.end = End::kFin, answer.cut_after = answer.body.size() / 2;
    return answer;
  });
  ExpectLayer();
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 32U);
}

TEST_F(PullInParts, F12SurvivesAServerThatForgetsRanges) {
  registry_.On(BlobPath(image_), [&](const FakeRequest& request) {
    const bool first = request.Header("range").starts_with("bytes=0-");
    return first ? BlobAnswer(request, image_.layer_text) : FakeAnswer{.body = image_.layer_text};
  });
  ExpectLayer();
}

TEST_F(PullInParts, APartThatFailsEndsTheBlob) {
  options_.retries = 1;
  registry_.On(BlobPath(image_), [&](const FakeRequest& request) {
    return request.Header("range").starts_with("bytes=655360-") ? FakeAnswer{.status = 500}
                                                                : BlobAnswer(request, image_.layer_text);
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kUnavailable, "500 Internal Server Error");
}

TEST_F(PullInParts, MemoryIsBoundedByTheReader) {
  const auto found = Resolve();
  ASSERT_OK(found);
  const auto source = (*found)->Open(image_.layer);
  ASSERT_OK(source);
  std::string buffer(1, '\0');
  ASSERT_OK((*source)->Read(buffer));
  (*source)->Interrupt();
  EXPECT_FALSE((*source)->Read(buffer));
  EXPECT_LE(registry_.CountOf(BlobPath(image_)), 1U + options_.parts_at_once);
}

}  // namespace
}  // namespace fermata::overlay::testing
