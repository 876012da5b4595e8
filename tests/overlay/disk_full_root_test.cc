// A disk that is full, at any point of an import, and what can be done then.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "tests/fixtures/temporary.h"
#include "tests/overlay/layer_fixture.h"
#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Runs `body` on a thread that sees an empty file system of `bytes` at `path`, and nobody else does.
void OnSmallDisk(const std::string& path, uint64_t bytes, const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const std::string options = "mode=0700,size=" + std::to_string(bytes);
    ASSERT_EQ(::mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()), 0);
    body();
  }).join();
}

class DiskFull : public ::testing::Test {
 protected:
  void SetUp() override {
    FERMATA_REQUIRE_ROOT();
    ASSERT_OK(MakeDirectories(dir_.fd(), "data"));
    small_ = ArchiveOf("localhost/small:1", 1000);
    large_ = ArchiveOf("localhost/large:1", 3'000'000);
  }
  static std::string ArchiveOf(const std::string& name, size_t bytes) {
    std::string text(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 2654435761U >> 13);
    ImageSpec spec{.layers = {{.entries = {File("file", text)}}, {.entries = {File("top", name)}}}, .name = name};
    return OciArchiveOf({spec});
  }
  static Result<std::vector<ImagePtr>> Import(ImageStore& store, const std::string& archive) {
    const UniqueFd file = MemoryFile(archive);
    return store.Import(file.get(), "");
  }
  [[nodiscard]] std::vector<std::string> Files(const std::string& folder) const {
    const auto directory = OpenAt(AT_FDCWD, data_ + "/" + folder, O_RDONLY | O_DIRECTORY);
    return directory ? ListDirectory(directory->get()).value() : std::vector<std::string>{"?"};
  }
  // Takes all that is left.
  void Fill() const {
    const auto file = OpenAt(AT_FDCWD, data_ + "/filler", O_WRONLY | O_CREAT, 0600);
    ASSERT_OK(file);
    const std::string block(4096, 'f');
    while (::write(file->get(), block.data(), block.size()) > 0) continue;
    EXPECT_EQ(errno, ENOSPC);
  }

  TempDir dir_;
  const std::string data_ = dir_.path() + "/data";
  std::string small_, large_;
};

TEST_F(DiskFull, AnImportEndsWhereverTheRoomDoesAndLeavesTheStoreAsItWas) {
  int failures = 0;
  int successes = 0;
  // The reserve alone is two megabytes; the large image wants three.
  for (uint64_t bytes = uint64_t{3} << 20; bytes < uint64_t{10} << 20; bytes += uint64_t{160} << 10) {
    OnSmallDisk(data_, bytes, [&] {
      auto store = ImageStore::Open(data_);
      ASSERT_OK(store);
      ASSERT_OK(Import(**store, small_));
      const auto imported = Import(**store, large_);
      if (imported) {
        ++successes;
        return;
      }
      ++failures;
      EXPECT_EQ(imported.error().code(), ErrorCode::kResourceExhausted) << imported.error().message();
      EXPECT_THAT((*store)->List(), SizeIs(1));
      EXPECT_THAT(Files("staging"), IsEmpty());
      EXPECT_THAT(Files("layers"), SizeIs(2));
      const auto never = Cancellation::Make().value();
      EXPECT_THAT((*store)->Verify("", *never).value(), IsEmpty());
      EXPECT_OK((*store)->Remove("localhost/small:1"));
      store->reset();
      auto again = ImageStore::Open(data_);
      ASSERT_OK(again);
      EXPECT_THAT((*again)->List(), IsEmpty());
      EXPECT_THAT((*again)->problems(), IsEmpty());
    });
  }
  EXPECT_GT(failures, 5);
  EXPECT_GT(successes, 5);
}

TEST_F(DiskFull, ImagesCanBeRemovedAndTheStoreOpened) {
  OnSmallDisk(data_, uint64_t{16} << 20, [&] {
    auto store = ImageStore::Open(data_);
    ASSERT_OK(store);
    ASSERT_OK(Import(**store, small_));
    ASSERT_OK(Import(**store, large_));
    Fill();
    const auto more = Import(**store, ArchiveOf("localhost/more:1", 5000));
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code(), ErrorCode::kResourceExhausted) << more.error().message();
    store->reset();
    store = ImageStore::Open(data_);
    ASSERT_OK(store);
    EXPECT_THAT((*store)->List(), SizeIs(2));
    Fill();  // whatever the opening has freed
    ASSERT_OK((*store)->Remove("localhost/large:1"));
    EXPECT_THAT((*store)->List(), SizeIs(1));
    ASSERT_EQ(::unlink((data_ + "/filler").c_str()), 0);
    ASSERT_OK(Import(**store, large_));
    ASSERT_OK((*store)->Remove("localhost/large:1"));
    EXPECT_EQ(::access((data_ + "/reserve").c_str(), F_OK), 0) << "there is a reserve again";
  });
}

}  // namespace
}  // namespace fermata::overlay::testing
