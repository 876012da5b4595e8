// The hostile corpus, unpacked in this process, and imported.
#include "tests/overlay/hostile_corpus.h"

#include "overlay/unpack.h"
#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

TEST(Hostile, L01TheCorpusIsLarge) { EXPECT_GE(HostileCorpus("/somewhere/canary").size(), 200U); }

TEST(Hostile, L01NothingLeavesTheLayer) {
  const TempDir dir;
  const Canary canary(dir.path() + "/canary");
  for (const HostileCase& one : HostileCorpus(canary.directory())) {
    RunHostileCase(dir, "layer", one, [](const std::string& tar, int layer) {
      const UniqueFd file = MemoryFile(tar);
      FdSource source(file.get());
      return UnpackLayer(source, {DigestOf(tar), tar.size(), DigestOf(tar)}, layer, {});
    });
  }
  canary.ExpectUnchanged();
  EXPECT_EQ(ListDirectory(dir.fd())->size(), 1U) << "something was made beside the layer";
}

class HostileImport : public StoreFixture {};

TEST_F(HostileImport, L01WhatIsRefusedIsNeverCommitted) {
  const Canary canary(dir_.path() + "/canary");
  const LayerSpec fine{.entries = {File("fine", "x")}};
  size_t refused = 0;
  for (const HostileCase& one : HostileCorpus(canary.directory())) {
    if (!one.refused || ++refused % 3 != 0) continue;  // each costs a store's transaction
    SCOPED_TRACE(one.name);
    const auto images =
        ImportBytes(OciArchiveOf({{.layers = {fine, {.entries = one.entries}, fine}, .name = "hostile:1"}}));
    EXPECT_FALSE(images);
  }
  ExpectEmpty();
  canary.ExpectUnchanged();
}

}  // namespace
}  // namespace fermata::overlay::testing
