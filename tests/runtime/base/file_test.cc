#include "runtime/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/fixtures/temporary.h"

namespace fermata {
namespace {

using testing::TemporaryDirectory;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto fd = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(fd);
    fd_ = std::move(*fd);
  }
  TemporaryDirectory directory_;
  UniqueFd fd_;
};

TEST_F(FileTest, EveryDescriptorIsCloseOnExec) {
  const auto file = OpenAt(fd_.get(), "f", O_RDWR | O_CREAT, 0600);
  const auto in_root = OpenInRoot(fd_.get(), "/f", O_RDONLY);
  const auto beneath = OpenBeneath(fd_.get(), "f", O_RDONLY);
  for (const auto* fd : {&file, &in_root, &beneath}) {
    ASSERT_OK(*fd);
    EXPECT_EQ(::fcntl((*fd)->get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST_F(FileTest, ErrorsNameTheCallAndThePath) {
  const auto missing = OpenAt(fd_.get(), "no/such", O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(), "open no/such: No such file or directory");
  EXPECT_EQ(missing.error().saved_errno(), ENOENT);
}

TEST_F(FileTest, AnAbsoluteLinkStaysInsideTheRoot) {
  ASSERT_OK(MakeDirectories(fd_.get(), "etc"));
  ASSERT_OK(WriteFileAtomic(fd_.get(), "secret", "outside"));
  ASSERT_EQ(::symlinkat("/etc", fd_.get(), "link"), 0);
  ASSERT_EQ(::symlinkat("../../../../secret", fd_.get(), "etc/up"), 0);
  const auto link = OpenInRoot(fd_.get(), "link", O_RDONLY | O_DIRECTORY);
  ASSERT_OK(link);
  EXPECT_TRUE(PathOf(link->get()).starts_with(directory_.path()));
  const auto up = OpenInRoot(fd_.get(), "link/up", O_RDONLY);
  ASSERT_OK(up);
  EXPECT_EQ(*ReadAll(up->get()), "outside");
}

TEST_F(FileTest, BeneathRefusesLinksAndDotDot) {
  ASSERT_EQ(::symlinkat("/etc/passwd", fd_.get(), "link"), 0);
  EXPECT_EQ(OpenBeneath(fd_.get(), "link", O_RDONLY).error().saved_errno(), ELOOP);
  EXPECT_EQ(OpenBeneath(fd_.get(), "../x", O_RDONLY).error().saved_errno(), EXDEV);
  EXPECT_EQ(OpenBeneath(fd_.get(), "/etc/passwd", O_RDONLY).error().saved_errno(), EXDEV);
}

TEST_F(FileTest, ReadAllStopsAtItsLimit) {
  ASSERT_OK(WriteFileAtomic(fd_.get(), "f", std::string(1000, 'x')));
  EXPECT_OK(ReadFileAt(fd_.get(), "f", 1000));
  const auto long_one = ReadFileAt(fd_.get(), "f", 999);
  ASSERT_FALSE(long_one);
  EXPECT_EQ(long_one.error().code(), ErrorCode::kResourceExhausted);
}

TEST_F(FileTest, RemoveTreeTakesDeepTreesAndNeverFollowsLinks) {
  ASSERT_OK(WriteFileAtomic(fd_.get(), "keep", "me"));
  std::string path = "tree";
  for (int i = 0; i < 300; ++i) path += "/directory";
  ASSERT_OK(MakeDirectories(fd_.get(), path));
  ASSERT_EQ(::symlinkat(directory_.path().c_str(), fd_.get(), "tree/link"), 0);
  ASSERT_OK(RemoveTree(fd_.get(), "tree"));
  EXPECT_EQ(*ListDirectory(fd_.get()), std::vector<std::string>{"keep"});
  EXPECT_OK(RemoveTree(fd_.get(), "tree"));  // nothing there: success
}

TEST_F(FileTest, WriteFileAtomicReplacesALinkInsteadOfFollowingIt) {
  ASSERT_OK(WriteFileAtomic(fd_.get(), "target", "old"));
  ASSERT_EQ(::symlinkat("target", fd_.get(), "link"), 0);
  ASSERT_OK(WriteFileAtomic(fd_.get(), "link", "new"));
  EXPECT_EQ(*ReadFileAt(fd_.get(), "target"), "old");
  EXPECT_EQ(*ReadFileAt(fd_.get(), "link"), "new");
}

TEST_F(FileTest, MakeDirectoriesIsIdempotentAndFailsOnAFile) {
  ASSERT_OK(MakeDirectories(fd_.get(), "a/b/c"));
  ASSERT_OK(MakeDirectories(fd_.get(), "a/b/c"));
  ASSERT_OK(WriteFileAtomic(fd_.get(), "file", ""));
  EXPECT_FALSE(MakeDirectories(fd_.get(), "file/x"));
}

TEST(UniqueFdTest, MoveAssignmentClosesWhatItHeld) {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int old = first.get();
  UniqueFd second(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  first = std::move(second);
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
  EXPECT_FALSE(second.valid());  // NOLINT(bugprone-use-after-move): the moved-from state is what is tested
  UniqueFd& self = first;
  first = std::move(self);
  EXPECT_TRUE(first.valid());
}

TEST(ResultTest, ContextIsPutInFrontAndCodesAreKept) {
  const auto inner = []() -> Result<int> { return Error::Make(ErrorCode::kNotFound, "x"); };
  const auto outer = [&]() -> Result<> {
    ASSIGN_OR_RETURN(const int value, inner(), "read ", "y");
    (void)value;
    return {};
  };
  const auto result = outer();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "read y: x");
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
}

TEST(ResultTest, ErrnoIsReadBeforeAnythingDisturbsIt) {
  errno = EACCES;
  const Error error = Error::Errno("open ", "/x");
  EXPECT_EQ(error.message(), "open /x: Permission denied");
  EXPECT_EQ(error.saved_errno(), EACCES);
}

}  // namespace
}  // namespace fermata
