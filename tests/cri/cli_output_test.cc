// What the command line prints: ages, events.
#include "cri/cli/output.h"

#include <gmock/gmock.h>

#include "cri/cli/describe.h"
#include "cri/cli/event_table.h"

namespace fermata::cri::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'000'000'000 * kSecond;

std::string AgeOf(int64_t seconds) { return ShortAge(kNow - seconds * kSecond, kNow); }

TEST(CliOutput, AgesAreShortAsThoseOfKubectl) {
  EXPECT_EQ(ShortAge(0, kNow), "-");
  EXPECT_EQ(AgeOf(-5), "0s");
  EXPECT_EQ(AgeOf(0), "0s");
  EXPECT_EQ(AgeOf(119), "119s");
  EXPECT_EQ(AgeOf(120), "2m");
  EXPECT_EQ(AgeOf(183), "3m3s");
  EXPECT_EQ(AgeOf(600 + 59), "10m");
  EXPECT_EQ(AgeOf(3 * 3600 - 1), "179m");
  EXPECT_EQ(AgeOf(3 * 3600 + 60), "3h1m");
  EXPECT_EQ(AgeOf(8 * 3600 + 60), "8h");
  EXPECT_EQ(AgeOf(47 * 3600), "47h");
  EXPECT_EQ(AgeOf(50 * 3600), "2d2h");
  EXPECT_EQ(AgeOf(9 * 86400 + 3600), "9d");
  EXPECT_EQ(AgeOf(1000 * 86400), "1000d");
}

TEST(CliOutput, AnEventThatRepeatsSaysHowOften) {
  ::fermata::v1::PodEvent event;
  event.set_pod("web");
  event.set_type("Warning");
  event.set_reason("Unhealthy");
  event.set_message("a\x1b[2J");
  event.set_count(1);
  event.set_first_unix_nanos(kNow - 60 * kSecond);
  event.set_last_unix_nanos(kNow - 5 * kSecond);
  EXPECT_EQ(EventRow(event, kNow), (std::vector<std::string>{"5s", "Warning", "Unhealthy", "pod/web", "a\\x1b[2J"}));
  event.set_container("main");
  event.set_count(3);
  EXPECT_EQ(EventRow(event, kNow)[0], "5s (x3 over 60s)");
  EXPECT_EQ(EventRow(event, kNow)[3], "pod/web/main");
}

TEST(CliOutput, ADescriptionHasAllAndNothingThatSteersATerminal) {
  using ::testing::HasSubstr;
  ::fermata::v1::DescribePodResponse pod;
  pod.mutable_status()->set_name("web");
  pod.mutable_status()->set_phase("Running");
  pod.mutable_status()->add_ips("10.0.0.1");
  auto& container = *pod.mutable_status()->add_containers();
  container.set_name("main\x1b[2J");
  container.set_state("CrashLoopBackOff");
  container.set_restart_count(2);
  container.mutable_last()->set_exit_code(7);
  container.mutable_last()->set_reason("Error");
  auto& plan = *pod.mutable_planned()->add_containers();
  plan.set_name("main\x1b[2J");
  plan.set_image("localhost/x:1");
  plan.add_probes("liveness: exec [true] delay=0s timeout=1s period=10s #success=1 #failure=3");
  plan.add_mounts("/data from scratch");
  pod.mutable_planned()->add_volumes("scratch (emptyDir)");
  const std::string text = DescribeText(pod, kNow);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  for (const char* line :
       {"Name:              web\n", "IPs:               10.0.0.1\n", "    Image:         localhost/x:1\n",
        "    State:         Waiting\n      Reason:      CrashLoopBackOff\n",
        "    Last State:    Terminated\n      Reason:      Error\n      Exit Code:   7\n", "    Restart Count: 2\n",
        "      liveness: exec [true] delay=0s", "      /data from scratch\n", "  scratch (emptyDir)\n",
        "Events:            <none>\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace fermata::cri::cli
