// Pulls from a registry in good and bad days: rows F-12, F-13 and F-14 of the table of faults, I-02 and I-15.
#include <thread>

#include "overlay/registry/stops.h"
#include "tests/overlay/registry/pull_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(Pull, GivesTargetManifestConfigurationAndLayer) {
  const auto found = Resolve();
  ASSERT_OK(found);
  EXPECT_EQ((*found)->target().digest, image_.digest);
  EXPECT_EQ((*found)->target().size_bytes, image_.manifest.size());
  EXPECT_EQ((*found)->target().kind, MediaKind::kManifest);
  EXPECT_EQ((*found)->media_type(), kManifestType);
  const auto manifest = ReadBlob(**found, (*found)->target());
  const auto config = ReadBlob(**found, image_.config);
  ASSERT_OK(manifest);
  ASSERT_OK(config);
  EXPECT_EQ(*manifest, image_.manifest);
  EXPECT_EQ(*config, image_.config_text);
  EXPECT_EQ(registry_.requests()[0].Header("accept").substr(0, 39), "application/vnd.oci.image.index.v1+json");
  EXPECT_EQ(registry_.requests()[0].Header("authorization"), "");
  EXPECT_EQ(registry_.requests().size(), 2U);
  ExpectLayer();
}

TEST_F(Pull, ADigestWinsOverATag) {
  const auto found = Resolve("reg.example/app:other@" + image_.digest);
  ASSERT_OK(found);
  EXPECT_EQ(registry_.requests()[0].path, "/v2/app/manifests/" + image_.digest);
  EXPECT_FAILURE(Resolve("reg.example/app@sha512:" + std::string(128, 'a')), kUnimplemented, "sha256");
}

TEST_F(Pull, AHostFileIsReadAtEachResolve) {
  ASSERT_OK(Resolve());
  WriteHosts("server = \"http://127.0.0.1:1\"\n");
  options_.retries = 0;
  EXPECT_FAILURE(Resolve(), kUnavailable, "registry reg.example: app: fetch manifest latest: ");
}

TEST_F(Pull, F12SurvivesCutsAtFiftyOffsetsWithRange) {
  for (size_t i = 0; i < 50; ++i) {
    const size_t offset = i * image_.layer_text.size() / 50;
    const End end = i % 2 == 0 ? End::kFin : End::kReset;
    FirstLayerAnswer(
        [&](const FakeRequest&) { return FakeAnswer{.body = image_.layer_text, .cut_after = offset, .end = end}; });
    ExpectLayer();
  }
  EXPECT_LE(registry_.CountOf(BlobPath(image_)), 100U);
}

TEST_F(Pull, F12SurvivesAServerThatKnowsNoRanges) {
  FirstLayerAnswer(
      [&](const FakeRequest&) { return FakeAnswer{.body = image_.layer_text, .cut_after = 70000, .end = End::kFin}; });
  registry_.On(BlobPath(image_), [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest&) {
    const bool first = count->fetch_add(1) == 0;
    return FakeAnswer{.body = image_.layer_text, .cut_after = 70000, .end = first ? End::kFin : End::kWhole};
  });
  ExpectLayer();
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 2U);
}

TEST_F(Pull, F12NeverTakesAWrongRange) {
  const std::string size = std::to_string(image_.layer_text.size());
  for (const std::string& wrong : {"bytes 0-99999/" + size, "bytes 70001-99999/" + size,
                                   std::string("bytes 70000-99999/123456"), std::string("nonsense"), std::string()}) {
    registry_.On(BlobPath(image_), [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest& request) {
      if (count->fetch_add(1) == 0) return FakeAnswer{.body = image_.layer_text, .cut_after = 70000, .end = End::kFin};
      if (request.Header("range").empty()) return FakeAnswer{.body = image_.layer_text};
      return FakeAnswer{.status = 206, .headers = {{"Content-Range", wrong}}, .body = std::string(30000, 'x')};
    });
    ExpectLayer();
  }
}

TEST_F(Pull, F12A416IsNotTheEnd) {
  registry_.On(BlobPath(image_), [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest& request) {
    if (count->fetch_add(1) == 0) return FakeAnswer{.body = image_.layer_text, .cut_after = 70000, .end = End::kReset};
    return request.Header("range").empty() ? FakeAnswer{.body = image_.layer_text} : FakeAnswer{.status = 416};
  });
  ExpectLayer();
}

TEST_F(Pull, F12GivesUpAfterFiveRequestsForABlob) {
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.body = image_.layer_text, .cut_after = 10, .end = End::kReset};
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kUnavailable,
                 "registry reg.example: app: fetch blob " + image_.layer.digest + ": ");
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 5U);
}

TEST_F(Pull, F13EndsWhenHeadersDoNotCome) {
  options_.retries = 0;
  ManifestIs({.stall_before_headers = true});
  EXPECT_FAILURE(Resolve(), kUnavailable, "fetch manifest latest: no answer for 400 ms");
}

TEST_F(Pull, F13EndsWhenHeadersNeverEnd) {
  options_.retries = 0;
  ManifestIs({.raw = "HTTP/1.1 200 OK\r\nContent-Type: a\r\nX-More: "});
  EXPECT_FAILURE(Resolve(), kUnavailable, "no answer for 400 ms");
}

TEST_F(Pull, F13AByteNowAndThenIsNoProgress) {
  options_.retries = 0;
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.body = image_.layer_text, .pace = std::chrono::milliseconds(20)};
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kUnavailable, "no progress for 400 ms");
}

TEST_F(Pull, F13AStallNearTheEndIsResumed) {
  FirstLayerAnswer([&](const FakeRequest&) {
    return FakeAnswer{.body = image_.layer_text, .cut_after = 99000, .end = End::kStall};
  });
  ExpectLayer();
  EXPECT_EQ(registry_.requests().back().Header("range"), "bytes=99000-");
}

TEST_F(Pull, F13AnEndlessRedirectEndsAfterFive) {
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", BlobPath(image_)}}};
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kInvalidArgument, "redirect: more than 5");
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 6U);
}

TEST_F(Pull, F13ASlowReaderIsNoStall) {
  image_ = MakeImage(4 << 20);
  ServeImage(registry_, image_);
  options_.no_progress_timeout = std::chrono::milliseconds(100);
  const auto found = Resolve();
  ASSERT_OK(found);
  const auto source = (*found)->Open(image_.layer);
  ASSERT_OK(source);
  std::string data(10, '\0');
  ASSERT_OK((*source)->Read(data));
  Stops nothing;
  ASSERT_OK(nothing.Sleep(std::chrono::milliseconds(300)));  // the slowness itself
  const auto rest = ReadToEnd(**source, 8 << 20);
  ASSERT_OK(rest);
  EXPECT_TRUE(data + *rest == image_.layer_text);
  EXPECT_EQ(registry_.CountOf(BlobPath(image_)), 1U);
}

TEST_F(Pull, F14MapsStatusesToCodes) {
  struct Row {
    int status;
    ErrorCode code;
    const char* text;
    size_t requests;
  };
  options_.retries = 2;
  for (const Row& row : {Row{404, ErrorCode::kNotFound, "404 Not Found", 1},
                         Row{401, ErrorCode::kFailedPrecondition, "401 Unauthorized", 1},
                         Row{403, ErrorCode::kFailedPrecondition, "403 Forbidden", 1},
                         Row{429, ErrorCode::kUnavailable, "429 Too Many Requests", 3},
                         Row{500, ErrorCode::kUnavailable, "500 Internal Server Error", 3},
                         Row{502, ErrorCode::kUnavailable, "502 Bad Gateway", 3},
                         Row{503, ErrorCode::kUnavailable, "503 Service Unavailable", 3}}) {
    const size_t before = registry_.requests().size();
    ManifestIs({.status = row.status});
    const auto found = Resolve();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), row.code) << row.status;
    EXPECT_EQ(found.error().message(), "registry reg.example: app: fetch manifest latest: " + std::string(row.text));
    EXPECT_EQ(registry_.requests().size() - before, row.requests) << row.status;
  }
}

TEST_F(Pull, F14NamesTheCodeOfTheRegistryIfItIsAKnownOne) {
  ManifestIs({.status = 404, .body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such"}]})"});
  EXPECT_FAILURE(Resolve(), kNotFound, "404 Not Found (MANIFEST_UNKNOWN)");
  ManifestIs({.status = 404, .body = R"({"errors":[{"code":"YOUR_PASSWORD_IS_X"}]})"});
  const auto found = Resolve();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), ::testing::Not(HasSubstr("PASSWORD")));
}

TEST_F(Pull, F14ABurstOfServerErrorsPasses) {
  registry_.On("/v2/app/manifests/latest", [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest&) {
    constexpr int kBurst[] = {500, 502, 503};
    const int i = count->fetch_add(1);
    return i < 3 ? FakeAnswer{.status = kBurst[i]} : ManifestAnswer(image_);
  });
  ASSERT_OK(Resolve());
}

TEST_F(Pull, F14WaitsAsLongAsRetryAfterSays) {
  options_.retry_delay = std::chrono::seconds(30);
  registry_.On("/v2/app/manifests/latest", [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest&) {
    if (count->fetch_add(1) > 0) return ManifestAnswer(image_);
    return FakeAnswer{.status = 429, .headers = {{"Retry-After", "1"}}};
  });
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_OK(Resolve());
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, std::chrono::seconds(1));
  EXPECT_LT(took, std::chrono::seconds(2));
}

TEST_F(Pull, F14ACancellationEndsTheWaitForRetryAfter) {
  registry_.On("/v2/app/manifests/latest", [&](const FakeRequest&) {
    cancellation_->Cancel();
    return FakeAnswer{.status = 429, .headers = {{"Retry-After", "120"}}};
  });
  EXPECT_FAILURE(Resolve(), kCancelled, "fetch manifest latest: cancelled");
}

TEST_F(Pull, F14GarbageInRetryAfterIsIgnored) {
  registry_.On(BlobPath(image_), [&, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest& request) {
    if (count->fetch_add(1) > 0) return BlobAnswer(request, image_.layer_text);
    return FakeAnswer{.status = 503, .headers = {{"Retry-After", "soon"}}};
  });
  ExpectLayer();
}

TEST_F(Pull, F14RefusesAWrongDigestOfAManifest) {
  ManifestIs({.headers = {{"Content-Type", kManifestType}, {"Docker-Content-Digest", DigestOf("x")}},
              .body = image_.manifest});
  EXPECT_FAILURE(Resolve(), kInvalidArgument, "its digest is " + image_.digest);
  registry_.On("/v2/app/manifests/" + image_.digest, [&](const FakeRequest&) {
    return FakeAnswer{.headers = {{"Content-Type", kManifestType}}, .body = image_.manifest + " "};
  });
  EXPECT_FAILURE(Resolve("reg.example/app@" + image_.digest), kInvalidArgument, "not " + image_.digest);
}

TEST_F(Pull, F14RefusesABlobOfAnotherSize) {
  registry_.On(BlobPath(image_), [&](const FakeRequest&) { return FakeAnswer{.body = image_.layer_text + "x"}; });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kInvalidArgument, "it has 100001 bytes, not the 100000");
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.headers = {{"Transfer-Encoding", "chunked"}},
                      .body = "186a1\r\n" + image_.layer_text + "x\r\n0\r\n\r\n"};
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kInvalidArgument, "longer than the 100000 bytes");
}

TEST_F(Pull, F14RefusesOtherTypes) {
  const std::pair<const char*, const char*> rows[] = {
      {"text/html", "Content-Type is text/html, but its mediaType"},
      {"application/vnd.oci.image.index.v1+json", "but its mediaType"},
      {"application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"},
  };
  for (const auto& [type, text] : rows) {
    ManifestIs({.headers = {{"Content-Type", type}}, .body = image_.manifest});
    EXPECT_FAILURE(Resolve(), kInvalidArgument, text);
  }
  ManifestIs({.headers = {{"Content-Type", "text/html"}}, .body = "<html>a portal</html>"});
  EXPECT_FAILURE(Resolve(), kInvalidArgument, "not a JSON object");
}

TEST_F(Pull, I02RefusesAManifestOverFourMebibytes) {
  ManifestIs({.headers = {{"Content-Type", kManifestType}}, .body = std::string((4 << 20) + 1, ' ')});
  EXPECT_FAILURE(Resolve(), kInvalidArgument, "longer than 4194304 bytes");
}

TEST_F(Pull, I02RefusesHeadersOver64Kibibytes) {
  for (const size_t line : {size_t{1000}, size_t{70000}, size_t{200000}}) {
    FakeAnswer answer = ManifestAnswer(image_);
    for (size_t i = 0; i < 70000; i += line) answer.headers.emplace_back("X-Long", std::string(line, 'a'));
    ManifestIs(answer);
    EXPECT_FAILURE(Resolve(), kInvalidArgument, "headers of the answer are longer than 64 KiB");
  }
}

TEST_F(Pull, I02AnErrorDocumentWithoutEndIsNotRead) {
  ManifestIs({.status = 404, .body = std::string(1 << 20, 'x')});
  EXPECT_FAILURE(Resolve(), kNotFound, "404 Not Found");
}

TEST_F(Pull, I03ADigestThatIsNoneNeverBecomesARequest) {
  const auto found = Resolve();
  ASSERT_OK(found);
  const size_t before = registry_.requests().size();
  for (const std::string& bad : {std::string("sha256:../../x"), "sha256:" + std::string(64, 'A'),
                                 "sha256:" + std::string(63, 'a'), std::string()}) {
    Descriptor blob = image_.layer;
    blob.digest = bad;
    EXPECT_FAILURE((*found)->Open(blob), kInvalidArgument, "not sha256");
  }
  EXPECT_EQ(registry_.requests().size(), before);
}

TEST_F(Pull, I15AChunkOfNothingIsAnEndThatComesTooEarly) {
  options_.retries = 0;
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.headers = {{"Transfer-Encoding", "chunked"}}, .body = "0\r\n\r\n"};
  });
  EXPECT_FAILURE(RegistryTest::Pull(image_), kUnavailable, "100000 bytes too early");
}

TEST_F(Pull, I15NoiseIsNoAnswer) {
  options_.retries = 0;
  ManifestIs({.raw = "\x16\x03\x01 what is this\r\n\r\n"});
  ASSERT_FALSE(Resolve());
}

TEST_F(Pull, AnInterruptionEndsAReadAtOnce) {
  options_.no_progress_timeout = std::chrono::minutes(1);
  registry_.On(BlobPath(image_), [&](const FakeRequest&) {
    return FakeAnswer{.body = image_.layer_text, .cut_after = 100, .end = End::kStall};
  });
  const auto found = Resolve();
  ASSERT_OK(found);
  const auto source = (*found)->Open(image_.layer);
  ASSERT_OK(source);
  std::string buffer(100, '\0');
  for (size_t got = 0; got < 100;) got += (*source)->Read(buffer).value();
  std::jthread other([&] { (*source)->Interrupt(); });
  EXPECT_FAILURE((*source)->Read(buffer), kCancelled, "cancelled");
}

TEST_F(Pull, ACancellationEndsAConfigurationButNoLayer) {
  const auto found = Resolve();
  ASSERT_OK(found);
  cancellation_->Cancel();
  EXPECT_FAILURE(ReadBlob(**found, image_.config), kCancelled, "cancelled");
  const auto layer = ReadLayer(**found, image_);
  ASSERT_OK(layer);
  EXPECT_TRUE(*layer == image_.layer_text);
}

TEST_F(Pull, ACancellationEndsResolve) {
  options_.response_timeout = std::chrono::minutes(1);
  registry_.On("/v2/app/manifests/latest", [&](const FakeRequest&) {
    cancellation_->Cancel();
    return FakeAnswer{.stall_before_headers = true};
  });
  EXPECT_FAILURE(Resolve(), kCancelled, "cancelled");
}

}  // namespace
}  // namespace fermata::overlay::testing
