// Pull: the registry serves one image, and single answers of it are made bad.
#pragma once

#include <atomic>
#include <functional>

#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {

using End = FakeAnswer::End;

inline std::string BlobPath(const TestImage& image) { return "/v2/app/blobs/" + image.layer.digest; }

class Pull : public RegistryTest {
 protected:
  Pull() : image_(MakeImage()) {
    UseServer(registry_);
    ServeImage(registry_, image_);
  }
  // The first answer for the layer is bad, those after it are good.
  void FirstLayerAnswer(const std::function<FakeAnswer(const FakeRequest&)>& bad) {
    auto count = std::make_shared<std::atomic<int>>(0);
    registry_.On(BlobPath(image_), [=, text = image_.layer_text](const FakeRequest& request) {
      return count->fetch_add(1) == 0 ? bad(request) : BlobAnswer(request, text);
    });
  }
  void ManifestIs(FakeAnswer answer) {
    registry_.On("/v2/app/manifests/latest", [answer = std::move(answer)](const FakeRequest&) { return answer; });
  }
  void ExpectLayer() {
    const auto layer = Pull::RegistryTest::Pull(image_);
    ASSERT_OK(layer);
    EXPECT_TRUE(*layer == image_.layer_text);
  }

  TestImage image_;
  FakeRegistry registry_;
};

}  // namespace fermata::overlay::testing
