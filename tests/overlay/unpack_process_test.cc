// Unpacking by fermata-unpack: the same result, its ends, and what it cannot do (threats L-01, L-06, R-15).
#include "overlay/unpack_process.h"

#include <sys/xattr.h>

#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "runtime/base/spawn.h"
#include "tests/overlay/process_fixture.h"
#include "tests/overlay/raw_tar.h"

namespace fermata::overlay::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

class UnpackingByProcess : public ProcessFixture {
 protected:
  void ExpectGivenUp(const Result<TreeUsage>& result, ErrorCode code, const std::string& text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    EXPECT_THAT(result.error().message(), HasSubstr(text));
  }
};

// Gives what it has and then waits for ever; Interrupt ends the wait.
class StuckSource : public ByteSource {
 public:
  explicit StuckSource(std::string first) : first_(std::move(first)) {}
  Result<size_t> Read(std::span<char> buffer) override {
    if (!first_.empty()) {
      const size_t count = first_.copy(buffer.data(), buffer.size());
      first_.erase(0, count);
      return count;
    }
    std::unique_lock lock(mutex_);
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return interrupted_; });
    return Error::Make(ErrorCode::kCancelled, "interrupted");
  }
  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }
  void AwaitReader() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_; });
  }

 private:
  std::mutex mutex_;  // of the next three
  std::condition_variable changed_;
  bool waiting_ = false;
  bool interrupted_ = false;
  std::string first_;
};

// No descriptor that another process could read.
class MadeSource : public ByteSource {
 public:
  explicit MadeSource(std::string data, std::optional<Error> end = std::nullopt)
      : data_(std::move(data)), end_(std::move(end)) {}
  Result<size_t> Read(std::span<char> buffer) override {
    if (position_ == data_.size() && end_) return *end_;
    const size_t count = data_.copy(buffer.data(), buffer.size(), position_);
    position_ += count;
    return count;
  }

 private:
  std::string data_;
  size_t position_ = 0;
  std::optional<Error> end_;
};

TEST_F(UnpackingByProcess, MakesWhatTheWorkInThisProcessMakes) {
  TarEntry capable = OwnedBy(File("ping", "x", 06755), 10, 4294967294);
  capable.xattrs = {{"security.capability", std::string("\x01\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
                    {"user.note", "hello"},
                    {"trusted.overlay.redirect", "/etc"},
                    {"user.overlay.opaque", "y"}};
  const std::string tar =
      TarOf({Directory("./", 0711), Directory("closed", 0), File("closed/x", "in"), capable, HardLink("h", "ping"),
             Symlink("l", "/ping"), Node("null", AE_IFCHR, 1, 3, 0666), Node("pipe", AE_IFIFO), File(".wh.gone", ""),
             File("closed/.wh..wh..opq", ""), File("\xc3\xa4\xff", "umlaut"), File("big", std::string(3 << 20, 'b'))});
  for (const Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const auto usage = RunTar(tar, kind);
    ASSERT_TRUE(usage) << usage.error().message();
    EXPECT_GT(usage->bytes, uint64_t{3} << 20);
  }
  EXPECT_EQ(Status(".").st_mode & 07777, 0711U);
  EXPECT_EQ(Status("closed").st_mode & 07777, 0U);
  EXPECT_EQ(Status("ping").st_mode & 07777, 06755U);
  EXPECT_EQ(Status("ping").st_gid, 4294967294U);
  EXPECT_EQ(Status("h").st_ino, Status("ping").st_ino);
  EXPECT_TRUE(S_ISCHR(Status("null").st_mode));
  EXPECT_TRUE(IsWhiteout("gone"));
  EXPECT_EQ(Read("\xc3\xa4\xff"), "umlaut");
  EXPECT_EQ(Read("big").size(), 3U << 20);
  const std::string path = dir_.path() + "/layer/";
  EXPECT_EQ(::lgetxattr((path + "ping").c_str(), "security.capability", nullptr, 0), 20);
  EXPECT_EQ(::lgetxattr((path + "ping").c_str(), "user.note", nullptr, 0), 5);
  EXPECT_EQ(::lgetxattr((path + "ping").c_str(), "user.overlay.opaque", nullptr, 0), -1);
  EXPECT_EQ(::lgetxattr((path + "ping").c_str(), "trusted.overlay.redirect", nullptr, 0), -1);
  EXPECT_EQ(::lgetxattr((path + "closed").c_str(), "trusted.overlay.opaque", nullptr, 0), 1);
}

TEST_F(UnpackingByProcess, ReadsRangesPipesAndWhatThisProcessMakes) {
  const std::string tar = TarOf({File("a", std::string(1 << 20, 'a'))});
  const LayerBlob blob{DigestOf(tar), tar.size(), DigestOf(tar)};
  const UniqueFd file = MemoryFile("in front" + tar + "behind");
  RangeSource range(file.get(), 8, tar.size());
  EXPECT_TRUE(Run(range, blob));
  MadeSource made(tar);
  EXPECT_TRUE(Run(made, blob));
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  std::jthread writer([&tar, end = ends[1]] {
    const UniqueFd mine(end);
    EXPECT_TRUE(WriteAll(mine.get(), tar));
  });
  FdSource stream(reader.get());
  EXPECT_TRUE(Run(stream, blob));
  EXPECT_EQ(Read("a").size(), 1U << 20);
}

TEST_F(UnpackingByProcess, ErrorsComeAcrossWithCodeAndText) {
  ExpectGivenUp(RunTar(TarOf({File("../evil", "x")})), ErrorCode::kInvalidArgument, "climbs out");
  ExpectGivenUp(RunTar("no tar" + std::string(1000, 'x')), ErrorCode::kInvalidArgument, "malformed tar header");
  ExpectGivenUp(RunTar(TarOf({File("a", ""), File("b", "")}), Compression::kNone, {.max_entries = 1}),
                ErrorCode::kInvalidArgument, "limit of 1 entries");
  const std::string tar = TarOf({File("a", "x")});
  const UniqueFd file = MemoryFile(tar);
  RangeSource source(file.get(), 0, tar.size());
  ExpectGivenUp(Run(source, {DigestOf("other"), tar.size(), DigestOf(tar)}), ErrorCode::kInvalidArgument,
                "blob digest");
  RangeSource again(file.get(), 0, tar.size());
  ExpectGivenUp(Run(again, {DigestOf(tar), tar.size(), DigestOf("other")}), ErrorCode::kInvalidArgument, "diff id");
  MadeSource broken(tar.substr(0, 512), Error::Make(ErrorCode::kUnavailable, "the registry has gone"));
  ExpectGivenUp(Run(broken, {DigestOf(tar), tar.size(), DigestOf(tar)}), ErrorCode::kUnavailable, "registry");
  MadeSource unread(std::string(64 << 20, 'x'));
  ExpectGivenUp(Run(unread, {DigestOf(tar), uint64_t{64} << 20, DigestOf(tar)}), ErrorCode::kInvalidArgument,
                "malformed");
}

TEST_F(UnpackingByProcess, ASourceThatNeverDeliversIsKilledAtTheDeadline) {
  unpacker_.deadline = milliseconds(300);
  StuckSource stuck(TarOf({File("a", "x")}).substr(0, 700));
  const LayerBlob blob{DigestOf("x"), 10000, DigestOf("x")};
  const auto begin = steady_clock::now();
  ExpectGivenUp(Run(stuck, blob), ErrorCode::kDeadlineExceeded, "no progress");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  FdSource silent(reader.get());
  ExpectGivenUp(Run(silent, blob), ErrorCode::kDeadlineExceeded, "no progress");
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(UnpackingByProcess, ProgressKeepsItAliveBeyondTheDeadline) {
  unpacker_.deadline = milliseconds(400);
  const std::string tar = TarOf({File("a", std::string(4 << 20, 'a'))});
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  std::jthread writer([&tar, end = ends[1]] {
    const UniqueFd mine(end);
    // A slow source is what is tested: eight parts, a quarter of the deadline apart.
    for (size_t part = 0; part < 8; ++part) {
      std::this_thread::sleep_for(milliseconds(100));
      const size_t size = tar.size() / 8 + 1;
      EXPECT_TRUE(WriteAll(mine.get(), std::string_view(tar).substr(part * size, size)));
    }
  });
  FdSource slow(reader.get());
  const auto usage = Run(slow, {DigestOf(tar), tar.size(), DigestOf(tar)});
  EXPECT_TRUE(usage) << usage.error().message();
}

TEST_F(UnpackingByProcess, CancellingIsPrompt) {
  StuckSource stuck(TarOf({File("a", "x")}).substr(0, 700));
  std::jthread canceller([&] {
    stuck.AwaitReader();
    cancellation_->Cancel();
  });
  const auto begin = steady_clock::now();
  ExpectGivenUp(Run(stuck, {DigestOf("x"), 10000, DigestOf("x")}), ErrorCode::kCancelled, "cancelled");
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
  MadeSource later("x");
  ExpectGivenUp(Run(later, {DigestOf("x"), 1, DigestOf("x")}), ErrorCode::kCancelled, "cancelled");
}

TEST_F(UnpackingByProcess, AProcessThatDiesWithoutAWordIsAnError) {
  const std::string tar = TarOf({File("a", "x")});
  const LayerBlob blob{DigestOf(tar), tar.size(), DigestOf(tar)};
  unpacker_.program = SealedProgram("true", "/bin/true").value();
  MadeSource source(tar);
  ExpectGivenUp(Run(source, blob), ErrorCode::kInternal, "ended with status 0");
  unpacker_.program = SealedProgram("text", "/etc/passwd").value();
  MadeSource again(tar);
  ExpectGivenUp(Run(again, blob), ErrorCode::kInternal, "spawn");
}

TEST_F(UnpackingByProcess, L06ManyDirectoriesEndAtTheMemoryLimit) {
  if (std::getenv("FERMATA_FULL") == nullptr) GTEST_SKIP() << "writes 1 GB; with FERMATA_FULL=1";
  // Each costs the process the memory of its path, of 4 KB, and the tar nearly nothing.
  const std::string long_part(250, 'd');
  std::string deep;
  for (int i = 0; i < 14; ++i) deep += long_part + "/";
  std::string tar;
  for (int i = 0; i < 160'000; ++i) {
    tar += RawEntry({.name = "././@LongLink", .type = 'L', .magic = GnuMagic()}, deep + std::to_string(i) + "/");
    tar += RawEntry({.type = '5', .magic = GnuMagic()});
  }
  ExpectGivenUp(RunTar(tar + TarEnd()), ErrorCode::kResourceExhausted, "limit of 512 MiB");
}

// What the process has and is, as /proc shows it while it waits for more of the blob.
TEST_F(UnpackingByProcess, L01TheProcessIsConfinedBeforeItReads) {
  StuckSource stuck("");
  std::string status, mounts, root, limits;
  std::vector<std::string> descriptors;
  std::jthread observer([&] {
    stuck.AwaitReader();
    const std::filesystem::path group = std::filesystem::path(cgroup_->path()) / "g1/cgroup.procs";
    // The source waits before the process is born; it is confined when its filter is there.
    for (int tries = 0; tries < 5000 && status.find("Seccomp:\t2") == std::string::npos; ++tries) {
      std::ifstream procs(group);
      std::string pid;
      std::this_thread::sleep_for(milliseconds(1));
      if (!std::getline(procs, pid)) continue;
      const std::string base = "/proc/" + pid;
      const auto text = [&](const char* name) {
        std::ifstream file(base + "/" + name);
        return std::string(std::istreambuf_iterator<char>(file), {});
      };
      status = text("status");
      mounts = text("mountinfo");
      limits = text("limits");
      descriptors.clear();
      std::error_code ignored;
      for (const auto& entry : std::filesystem::directory_iterator(base + "/fd", ignored)) {
        descriptors.push_back(entry.path().filename());
      }
    }
    cancellation_->Cancel();
  });
  ExpectGivenUp(Run(stuck, {DigestOf("x"), 10000, DigestOf("x")}), ErrorCode::kCancelled, "cancelled");
  observer.join();
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, HasSubstr("CapEff:\t000000008820001b")) << "seven capabilities";
  EXPECT_THAT(status, HasSubstr("CapBnd:\t000000008820001b"));
  EXPECT_THAT(status, HasSubstr("CapInh:\t0000000000000000"));
  EXPECT_THAT(status, ::testing::ContainsRegex("NSpid:\t[0-9]+\t1\n")) << "PID 1 of its own namespace";
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 1) << mounts;
  EXPECT_THAT(mounts, HasSubstr(" / ")) << mounts;
  EXPECT_THAT(mounts, HasSubstr("nosuid,nodev,noexec"));
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max data size +536870912 +536870912"));
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max cpu time +600 +600"));
  EXPECT_THAT(descriptors, ::testing::UnorderedElementsAre("0", "1", "2", "3", "4", "5", "6", "7"))
      << "5 is the new root, the others are those of messages.h";
}

TEST_F(UnpackingByProcess, L01NothingIsLeftToItButTheLayer) {
  // The probe confines itself as fermata-unpack does and then tries; it says what succeeded.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  SpawnOptions options;
  options.executable = FERMATA_CONFINED_PROBE;
  options.arguments = {"confined_probe"};
  options.fds = {{writer.get(), 0}, {writer.get(), 1}, {writer.get(), 2}, {layer_.get(), 3}};
  options.new_pid_namespace = true;
  auto probe = Spawn(options);
  ASSERT_TRUE(probe) << probe.error().message();
  writer.Reset();
  EXPECT_EQ(*ReadAll(reader.get()), "confined\n") << "what succeeded, or was refused in another way";
  EXPECT_EQ(*Reap(probe->pidfd), 0);
  EXPECT_EQ(Read("made-inside"), "yes") << "the layer is where it can write";
}

}  // namespace
}  // namespace fermata::overlay::testing
