// `fermata events`: what pods tell of their lives.
#include <csignal>

#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class EventsTest : public CliTest {
 protected:
  Json Events(const std::string& pod) {
    const Json answer = Json::parse(Output({"--json", "events", pod}), nullptr, false);
    return answer.is_object() ? answer.value("events", Json::array()) : Json::array();
  }
  // "container reason", in the order in which they happened last.
  std::vector<std::string> Reasons(const std::string& pod) {
    std::vector<std::string> reasons;
    for (const Json& event : Events(pod)) {
      reasons.push_back(event.at("container").get<std::string>() + " " + event.at("reason").get<std::string>());
    }
    return reasons;
  }
  bool Has(const std::string& pod, const std::string& reason, const std::string& message) {
    for (const Json& event : Events(pod)) {
      if (event.at("reason") == reason && event.at("message").get<std::string>().find(message) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
};

TEST_F(EventsTest, APodTellsOfItsImageItsStartAndItsEnd) {
  Output({"run", "-d", Yaml(Manifest("told", "", {Container("main", "exec sleep 1000")}))});
  EXPECT_EQ(Reasons("told"), (std::vector<std::string>{"main Pulled", "main Created", "main Started"}));
  const std::string table = Output({"events", "told"});
  EXPECT_THAT(table, ::testing::StartsWith("LAST SEEN"));
  EXPECT_THAT(table, AllOf(ContainsRegex("[0-9]+s +Normal +Started +pod/told/main +Started container main\n"),
                           HasSubstr("already present on machine")));
  Output({"stop", "-t", "1", "told"});
  EXPECT_EQ(Reasons("told").back(), "main Killing");
  EXPECT_TRUE(Has("told", "Killing", "Stopping container main"));
  Output({"rm", "told"});
  EXPECT_THAT(Output({"events"}), Not(HasSubstr("told")));
  const ProgramResult gone = Fermata({"events", "told"});
  EXPECT_EQ(gone.code, 125);
  EXPECT_THAT(gone.err, HasSubstr("pod told does not exist"));
}

TEST_F(EventsTest, AFailedProbeIsToldWithItsOutputAndCounted) {
  const std::string probe =
      "readinessProbe: {exec: {command: [sh, -c, 'echo not yet; exit 1']}, periodSeconds: 1}\n"
      "    livenessProbe: {exec: {command: [sh, -c, 'echo dead; exit 1']}, periodSeconds: 1, failureThreshold: 2}";
  Output({"run", "-d", Yaml(Manifest("sick", "", {Container("c", "exec sleep 1000", probe)}))});
  ASSERT_TRUE(WaitUntil([&] { return Has("sick", "Killing", "failed liveness probe, will be restarted"); }));
  EXPECT_TRUE(Has("sick", "Unhealthy", "Liveness probe failed: dead"));
  EXPECT_TRUE(Has("sick", "Unhealthy", "Readiness probe failed: not yet"));
  ASSERT_TRUE(WaitUntil([&] { return Output({"events", "sick"}).find(" (x2 over ") != std::string::npos; }));
}

TEST_F(EventsTest, WhatFailsAndIsStartedAgainBacksOff) {
  Output({"run", "-d", Yaml(Manifest("again", "", {Container("c", "exit 3")}))});
  ASSERT_TRUE(WaitUntil([&] { return Has("again", "BackOff", "restarting failed container c"); }));
}

TEST_F(EventsTest, AProgramThatIsNotThereAndADeadlineAreTold) {
  const std::string missing = "  - name: c\n    image: " + std::string(kBusyboxImage) + "\n    command: [/no/such]\n";
  Output({"run", "-d", Yaml(Manifest("none", "restartPolicy: Never", {missing}))});
  EXPECT_TRUE(Has("none", "Failed", "/no/such"));
  Output({"run", "-d", Yaml(Manifest("late", "activeDeadlineSeconds: 1", {Container("c", "exec sleep 1000")}))});
  ASSERT_TRUE(WaitUntil([&] { return Has("late", "DeadlineExceeded", "longer than the specified deadline"); }));
}

TEST_F(EventsTest, FollowingShowsWhatIsThereAndWhatComesAndEndsWithThePod) {
  Output({"run", "-d", Yaml(Manifest("watched", "", {Container("c", "exec sleep 1000")}))});
  Program follow = Begin({"events", "-f", "watched"});
  ASSERT_TRUE(WaitUntil([&] { return follow.Out().find("Started container c") != std::string::npos; }));
  Output({"stop", "-t", "0", "watched"});
  Output({"rm", "watched"});
  const ProgramResult result = follow.Wait();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("Stopping container c"));
}

TEST_F(EventsTest, WhoFollowsAllIsHeldThroughAStartOfTheDaemon) {
  Program follow = Begin({"--json", "events", "--follow"});
  Output({"run", "-d", Yaml(Manifest("one", "", {Container("c", "exec sleep 1000")}))});
  ASSERT_TRUE(WaitUntil([&] { return follow.Out().find("Started container c") != std::string::npos; }));
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  Output({"stop", "-t", "0", "one"});
  ASSERT_TRUE(WaitUntil([&] { return follow.Out().find("Stopping container c") != std::string::npos; }));
  std::istringstream lines(follow.Out());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(Json::parse(line, nullptr, false).is_object()) << line;
  }
}

}  // namespace
}  // namespace fermata::testing
