// StoreFixture: an ImageStore in a temporary directory, and a look at what it leaves on disk.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "overlay/image/image_store.h"
#include "tests/overlay/image_builder.h"
#include "tests/overlay/temp_dir.h"

namespace fermata::overlay::testing {

class StoreFixture : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    store_.reset();
    auto opened = ImageStore::Open(dir_.path() + "/data");
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(opened).value();
  }

  Result<std::vector<ImagePtr>> ImportBytes(const std::string& archive, const std::string& name = "") {
    const UniqueFd file = MemoryFile(archive);
    return store_->Import(file.get(), name);
  }
  // One image of one file a layer; the text makes images differ.
  ImagePtr ImportSimple(const std::string& name, const std::vector<std::string>& layers = {"base"}) {
    ImageSpec spec{.name = name};
    for (const std::string& text : layers) spec.layers.push_back({.entries = {File("etc/" + text, text)}});
    const auto images = ImportBytes(OciArchiveOf({spec}));
    EXPECT_TRUE(images) << images.error().message();
    return images ? images->front() : nullptr;
  }
  [[nodiscard]] std::vector<std::string> Files(const std::string& directory) const {
    const auto fd = OpenAt(dir_.fd(), "data/" + directory, O_RDONLY | O_DIRECTORY);
    return fd ? ListDirectory(fd->get()).value() : std::vector<std::string>{fd.error().message()};
  }
  void ExpectEmpty() const {
    for (const char* directory : {"layers", "blobs/sha256", "staging", "snapshots"}) {
      EXPECT_TRUE(Files(directory).empty()) << directory;
    }
    EXPECT_TRUE(store_->List().empty());
  }

  TempDir dir_;
  std::unique_ptr<ImageStore> store_;
};

}  // namespace fermata::overlay::testing
