// spawn, pidfd, sockets, memory files, the task pool, SQLite.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <thread>

#include "runtime/base/memfd.h"
#include "runtime/base/random_id.h"
#include "runtime/base/socket.h"
#include "runtime/base/spawn.h"
#include "runtime/base/sqlite.h"
#include "runtime/base/task_pool.h"
#include "tests/fixtures/temporary.h"

namespace fermata {
namespace {

using testing::TemporaryDirectory;

std::string OutputOf(const std::vector<std::string>& arguments, std::vector<std::string> environment = {}) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd read(pipe[0]);
  UniqueFd write(pipe[1]);
  SpawnOptions options;
  options.executable = arguments.front();
  options.arguments = arguments;
  options.environment = std::move(environment);
  options.fds = {{write.get(), 1}};
  const auto process = Spawn(options);
  EXPECT_OK(process);
  write.Reset();
  std::string output = *ReadAll(read.get());
  EXPECT_OK(Reap(process->pidfd));
  return output;
}

TEST(SpawnTest, TheChildGetsTheListedDescriptorsTheGivenEnvironmentAndNothingElse) {
  const UniqueFd leaked(::open("/dev/null", O_RDONLY));  // on purpose without close-on-exec
  EXPECT_EQ(OutputOf({"/bin/busybox", "sh", "-c", "pwd; ls /proc/self/fd"}), "/\n0\n1\n");  // 0: ls itself
  EXPECT_EQ(OutputOf({"/usr/bin/env"}, {"A=b"}), "A=b\n");
}

TEST(SpawnTest, SignalsAreDefaultAndUnblocked) {
  const std::string status = OutputOf({"/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"});
  EXPECT_NE(status.find("SigBlk:\t0000000000000000"), std::string::npos) << status;
  EXPECT_NE(status.find("SigIgn:\t0000000000000000"), std::string::npos) << status;
}

TEST(SpawnTest, AProgramThatIsNotThereIsAnErrorWithoutAProcess) {
  SpawnOptions options;
  options.executable = "/no/such/program";
  options.arguments = {"program"};
  const auto process = Spawn(options);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().message(), "spawn program: execute: No such file or directory");
}

TEST(SpawnTest, ExitCodesAndSignalsAreTold) {
  SpawnOptions options;
  options.executable = "/bin/busybox";
  options.arguments = {"sh", "-c", "exit 42"};
  EXPECT_EQ(*Reap(Spawn(options)->pidfd), 42);
  options.arguments = {"sleep", "1000"};
  const auto process = Spawn(options);
  ASSERT_OK(process);
  EXPECT_FALSE(process->pidfd.WaitExited(0));
  EXPECT_OK(process->pidfd.Signal(SIGKILL));
  EXPECT_EQ(*Reap(process->pidfd), 137);
  EXPECT_OK(process->pidfd.Signal(SIGKILL));  // gone: no error
}

TEST(PidfdTest, AnotherStartTimeIsAnotherProcess) {
  const auto start = ProcessStartTime(::getpid());
  ASSERT_OK(start);
  EXPECT_OK(Pidfd::OpenChecked(::getpid(), *start));
  const auto other = Pidfd::OpenChecked(::getpid(), *start + 1);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kNotFound);
}

TEST(SocketTest, MessagesCarryDescriptorsAndKeepTheirBorders) {
  auto pair = SeqpacketPair();
  ASSERT_OK(pair);
  const UniqueFd file(::memfd_create("x", MFD_CLOEXEC));
  const std::array fds = {file.get()};
  ASSERT_OK(SendMessage(pair->first.get(), "one", fds));
  ASSERT_OK(SendMessage(pair->first.get(), "two"));
  std::vector<char> buffer(kMaxMessageBytes);
  const auto one = ReceiveMessage(pair->second.get(), buffer);
  ASSERT_OK(one);
  EXPECT_EQ(one->data, "one");
  ASSERT_EQ(one->fds.size(), 1U);
  EXPECT_EQ(::fcntl(one->fds[0].get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(ReceiveMessage(pair->second.get(), buffer)->data, "two");
  pair->first.Reset();
  EXPECT_EQ(ReceiveMessage(pair->second.get(), buffer)->data, "");
}

TEST(SocketTest, AMessageLongerThanTheBufferIsAnError) {
  auto pair = SeqpacketPair();
  ASSERT_OK(SendMessage(pair->first.get(), std::string(100, 'x')));
  std::vector<char> buffer(50);
  EXPECT_FALSE(ReceiveMessage(pair->second.get(), buffer));
}

TEST(SocketTest, NamesWorkHoweverDeepTheirDirectoryLies) {
  const TemporaryDirectory directory;
  std::string path = directory.path();
  for (int i = 0; i < 10; ++i) path += "/a-rather-long-directory-name";
  const auto deep = MakeDirectories(AT_FDCWD, path);
  ASSERT_OK(deep);
  const auto listener = SeqpacketListen(deep->get(), "s");
  ASSERT_OK(listener);
  EXPECT_OK(SeqpacketConnect(deep->get(), "s"));
}

TEST(MemfdTest, ASealedFileCannotBeWrittenAlsoNotByItsOtherName) {
  const auto file = SealedData("x", "data");
  ASSERT_OK(file);
  EXPECT_EQ(::write(file->get(), "y", 1), -1);
  EXPECT_EQ(errno, EPERM);
  const auto again = OpenAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(file->get()), O_RDWR);
  ASSERT_OK(again);
  EXPECT_EQ(::write(again->get(), "y", 1), -1);
  EXPECT_EQ(::ftruncate(again->get(), 0), -1);
}

TEST(TaskPoolTest, AWaitNeverHoldsUpOtherWork) {
  TaskPool pool;
  std::atomic<int> done = 0;
  std::atomic<bool> release = false;
  for (int i = 0; i < 8; ++i) {
    pool.Post([&] {
      release.wait(false);
      ++done;
    });
  }
  pool.Post([&] {
    release = true;  // runs although eight others wait for it
    release.notify_all();
  });
  pool.Drain();
  EXPECT_EQ(done, 8);
}

TEST(RandomIdTest, IdsAre64HexDigitsAndDiffer) {
  const std::string id = *RandomId();
  EXPECT_EQ(id.size(), 64U);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(id, *RandomId());
}

TEST(SqliteTest, MigrationsGoForwardAndANewerFileIsRefused) {
  const TemporaryDirectory directory;
  constexpr std::array one = {"CREATE TABLE a (x)"};
  constexpr std::array two = {"CREATE TABLE a (x)", "CREATE TABLE b (x)"};
  const std::string path = directory / "test.db";
  ASSERT_OK(Database::Open(path, Database::Sync::kNormal, one));
  auto newer = Database::Open(path, Database::Sync::kNormal, two);
  ASSERT_OK(newer);
  ASSERT_OK(newer->Execute("INSERT INTO b VALUES (1)"));
  const auto older = Database::Open(path, Database::Sync::kNormal, one);
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code(), ErrorCode::kFailedPrecondition);
}

TEST(SqliteTest, AFailedTransactionChangesNothing) {
  const TemporaryDirectory directory;
  constexpr std::array schema = {"CREATE TABLE a (x PRIMARY KEY)"};
  auto database = Database::Open(directory / "test.db", Database::Sync::kFull, schema);
  ASSERT_OK(database);
  const auto done = database->Transaction([&]() -> Result<> {
    RETURN_IF_ERROR(database->Execute("INSERT INTO a VALUES (1)"));
    return database->Execute("INSERT INTO a VALUES (1)");
  });
  EXPECT_FALSE(done);
  auto count = database->Prepare("SELECT count(*) FROM a");
  ASSERT_OK(count);
  EXPECT_TRUE(*count->Step());
  EXPECT_EQ(count->Int(0), 0);
}

}  // namespace
}  // namespace fermata
