#include "sandbox/stats/process_counts.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "runtime/base/unique_fd.h"

namespace fermata::sandbox::stats {
namespace {

TEST(CountProcesses, CountsThreadsFilesAndSockets) {
  const std::array pids = {::getpid(), pid_t{999'999'999}};
  const ProcessCounts before = CountProcesses(pids, ProcessDetail::kAll);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd one(pair[0]), two(pair[1]);
  const ProcessCounts after = CountProcesses(pids, ProcessDetail::kAll);
  EXPECT_EQ(after.processes, 2U);
  EXPECT_EQ(after.files, before.files + 2);
  EXPECT_EQ(after.sockets, before.sockets + 2);
  EXPECT_GE(after.threads, 1U);
  EXPECT_EQ(CountProcesses(pids, ProcessDetail::kCount).files, 0U);
}

TEST(ParseFileLimit, ReadsTheSoftLimit) {
  EXPECT_EQ(ParseFileLimit("Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   524288   files\n"),
            1024U);
  for (const char* text : {"", "Max open files", "Max open files  unlimited  unlimited files", "Max processes 1 2"}) {
    EXPECT_EQ(ParseFileLimit(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace fermata::sandbox::stats
