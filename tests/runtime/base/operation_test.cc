// What is under way, and what log lines say of it.
#include "runtime/base/operation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/log_format.h"
#include "tests/fixtures/temporary.h"

namespace fermata {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

TEST(Operation, ShowsItsStagePathAndIdsWhileItIsUnderWay) {
  EXPECT_THAT(Operations(), IsEmpty());
  {
    const Operation operation("RunPodSandbox");
    const About about(About::What::kSandbox, "s1");
    const OperationStage outer("attach network");
    {
      const OperationStage inner("CNI plugin bridge ADD", "/opt/cni/bin/bridge");
      const auto reports = Operations();
      ASSERT_THAT(reports, SizeIs(1));
      EXPECT_EQ(reports[0].name, "RunPodSandbox");
      EXPECT_EQ(reports[0].stage, "CNI plugin bridge ADD");
      EXPECT_EQ(reports[0].path, "/opt/cni/bin/bridge");
      EXPECT_THAT(reports[0].ids, ElementsAre(Pair(::testing::StrEq("sandbox"), "s1")));
    }
    const OperationReport report = operation.Report();
    EXPECT_EQ(report.stage, "attach network") << "the outer one goes on";
    ASSERT_THAT(report.stages, SizeIs(1));
    EXPECT_EQ(report.stages[0].name, "CNI plugin bridge ADD /opt/cni/bin/bridge");
  }
  EXPECT_THAT(Operations(), IsEmpty());
}

TEST(Operation, KeepsTheIdsForTheLineAtItsEnd) {
  const Operation operation("StartContainer");
  { const About about(About::What::kContainer, "c1"); }
  EXPECT_THAT(About::All(), ElementsAre(Pair(::testing::StrEq("container"), "c1")));
}

TEST(Operation, OfTwoIdsOfAKindTheInnerOneCounts) {
  const About outer(About::What::kContainer, "c1");
  const About pod(About::What::kPod, "default/web");
  {
    const About inner(About::What::kContainer, "c2");
    EXPECT_THAT(About::All(),
                ElementsAre(Pair(::testing::StrEq("container"), "c2"), Pair(::testing::StrEq("pod"), "default/web")));
  }
  EXPECT_EQ(About::All().front().second, "c1");
}

TEST(Operation, AStageOutsideOfAnOperationIsNothing) { const OperationStage stage("alone"); }

std::string Formatted(const std::unique_ptr<spdlog::formatter>& format, std::string_view text) {
  const spdlog::details::log_msg message("fermata", spdlog::level::warn, {text.data(), text.size()});
  spdlog::memory_buf_t out;
  format->format(message, out);
  return {out.data(), out.size()};
}

TEST(LogFormat, ATextLineNamesTheIdsAndHasNoControlBytes) {
  const About about(About::What::kSandbox, "s1");
  EXPECT_THAT(Formatted(log::TextFormat(), "two\nlines \x1b[31m \xc2\x9b bell"),
              EndsWith(" warn two\\nlines \\x1b[31m \\xc2\\x9b bell sandbox=s1\n"));
}

TEST(LogFormat, AJsonLineIsOneObject) {
  const About about(About::What::kContainer, "c1");
  const std::string line = Formatted(log::JsonFormat(), "quote \" and \xff and\nmore");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const Json json = Json::parse(line, nullptr, false);
  ASSERT_TRUE(json.is_object()) << line;
  EXPECT_EQ(json["level"], "warn");
  EXPECT_EQ(json["container"], "c1");
  EXPECT_THAT(json["message"].get<std::string>(), HasSubstr("quote \" and "));
  EXPECT_TRUE(json.contains("time"));
}

TEST(LogFormat, AValueOfSeveralLinesGoesToTheJournalWithItsLength) {
  const std::string entry = log::JournalEntry(4, "a\nb", {{"sandbox", "s1"}});
  const std::string length("\x03\0\0\0\0\0\0\0", 8);
  EXPECT_EQ(entry, "PRIORITY=4\nSYSLOG_IDENTIFIER=fermatad\nMESSAGE\n" + length + "a\nb\nFERMATA_SANDBOX=s1\n");
}

UniqueFd Journal(const std::string& path) {
  UniqueFd journal(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(journal.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return journal;
}

TEST(LogSetup, AJournalThatTakesNothingDoesNotHoldUpWhoLogs) {
  const testing::TemporaryDirectory directory;
  const UniqueFd journal = Journal(directory / "journal");
  const auto before = spdlog::default_logger();
  ASSERT_OK(log::Setup({"info", "journald", directory / "journal"}));
  const auto length = ReadFileAt(AT_FDCWD, "/proc/sys/net/unix/max_dgram_qlen");
  ASSERT_OK(length);
  const auto begin = std::chrono::steady_clock::now();
  for (int line = 0; line < std::stoi(*length) + 5; ++line) log::warn("nobody reads this");
  spdlog::set_default_logger(before);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(LogSetup, GoesToTheJournalThatListens) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "journal";
  const UniqueFd journal = Journal(path);
  const auto before = spdlog::default_logger();
  ASSERT_OK(log::Setup({"info", "journald", path}));
  {
    const About about(About::What::kPod, "default/web");
    log::warn("it is {}", 7);
  }
  spdlog::set_default_logger(before);
  std::array<char, 4096> buffer{};
  const ssize_t size = ::recv(journal.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(buffer.data(), static_cast<size_t>(size)),
              HasSubstr("MESSAGE=it is 7\nFERMATA_POD=default/web\n"));
}

TEST(LogSetup, SaysWhatToUseInstead) {
  EXPECT_THAT(log::Setup({"loud", "text"}).error().message(), HasSubstr("use trace, debug, info, warn or error"));
  EXPECT_THAT(log::Setup({"info", "xml"}).error().message(), HasSubstr("use text, json or journald"));
  const auto none = log::Setup({"info", "journald", "/nonexistent/socket"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(none.error().message(), HasSubstr("use the format text or json"));
}

}  // namespace
}  // namespace fermata
