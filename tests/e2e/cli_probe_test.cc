// `fermata probe`: how probes came out, and runs of them outside their schedule.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CliProbeTest : public CliTest {
 protected:
  // Two containers: one with an exec and an httpGet probe, one with a tcpSocket probe. Sick while /tmp/sick is there.
  void RunPod() {
    const std::string probes =
        "livenessProbe: {exec: {command: [sh, -c, 'echo \"looked\"; test ! -e /tmp/sick']}, periodSeconds: 1, "
        "failureThreshold: 1000}\n"
        "    readinessProbe: {httpGet: {port: 8080, path: /ok}, periodSeconds: 1}";
    const std::string web = "mkdir /tmp/www; cd /tmp/www; echo fine > ok; exec busybox httpd -f -p 8080";
    const std::string tcp = "readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}";
    Output({"run", "-d",
            Yaml(Manifest("web", "", {Container("c", web, probes), Container("side", "exec sleep 1000", tcp)}))});
  }
  std::vector<std::string> Outcomes(const std::string& container, const std::string& type) {
    std::vector<std::string> outcomes;
    for (const Json& flight : Flights(container, type)) outcomes.push_back(flight.at("outcome"));
    return outcomes;
  }
  Json Flights(const std::string& container, const std::string& type) {
    const Json answer =
        Json::parse(Output({"probe", "history", "web", "-c", container, "--type", type, "-o", "json"}), nullptr, false);
    return answer.is_object() ? answer.at("probes").at(0).at("flights") : Json::array();
  }
  bool Succeeds(const std::string& container, const std::string& type) {
    const auto outcomes = Outcomes(container, type);
    return !outcomes.empty() && outcomes.back() == "success";
  }
};

TEST_F(CliProbeTest, ProbesAreListedWithTheirStateAndTimes) {
  RunPod();
  ASSERT_TRUE(WaitUntil(
      [&] { return Succeeds("c", "liveness") && Succeeds("c", "readiness") && Succeeds("side", "readiness"); }));
  const std::string table = Output({"probe", "ls"});
  EXPECT_THAT(table, StartsWith("POD  CONTAINER  TYPE"));
  EXPECT_THAT(table, AllOf(ContainsRegex("web +c +liveness +exec \\[sh .* success +success \\([0-9]+s ago\\) +0/1000 "),
                           ContainsRegex("web +c +readiness +http-get http://:8080/ok +success .* 0/3 .*s / .*s"),
                           ContainsRegex("web +side +readiness +tcp-socket :8080 +success ")));
  EXPECT_EQ(Output({"probe", "ls", "web", "--format", "{{.Container}} {{.Type}}"}),
            "c liveness\nc readiness\nside readiness\n");
  EXPECT_THAT(Output({"probe", "ls", "web", "-o", "yaml"}), HasSubstr("type: liveness"));
  EXPECT_THAT(Output({"probe", "ls", "-o", "wide"}), HasSubstr("TIMEOUT"));
}

TEST_F(CliProbeTest, HistoryHasEachRunAndAVerdict) {
  RunPod();
  ASSERT_TRUE(WaitUntil([&] { return Outcomes("c", "liveness").size() >= 2; }));
  Output({"exec", "web", "-c", "c", "touch", "/tmp/sick"});
  ASSERT_TRUE(WaitUntil([&] { return Outcomes("c", "liveness").back() == "failure"; }));
  const Json flights = Flights("c", "liveness");
  EXPECT_EQ(flights.front().at("outcome"), "success");
  EXPECT_EQ(flights.back().at("output"), "looked");
  EXPECT_EQ(flights.front().at("number"), "1");
  EXPECT_GT(std::stoll(flights.back().at("latency_nanos").get<std::string>()), 0);
  const std::string text = Output({"probe", "history", "web", "-c", "c", "--type", "liveness"});
  EXPECT_THAT(text, StartsWith("RUN  TIME"));
  EXPECT_THAT(text, ContainsRegex("c +liveness +failure +[0-9]+ .*looked\n"));
  EXPECT_THAT(text, ContainsRegex("\nc liveness: [0-9]+ of [0-9]+ runs failed"));
  const std::string all = Output({"probe", "history", "web"});
  EXPECT_THAT(all, AllOf(HasSubstr("\nc readiness: "), HasSubstr("\nside readiness: ")));
  EXPECT_THAT(Output({"top", "web", "--no-stream"}), ContainsRegex("liveness:\\++-"));
}

TEST_F(CliProbeTest, ARunNowCountsForNothing) {
  const std::string probe =
      "livenessProbe: {exec: {command: [sh, -c, 'echo \"looked\"; test ! -e /tmp/sick']}, initialDelaySeconds: 3600, "
      "failureThreshold: 1}";
  Output({"run", "-d", Yaml(Manifest("web", "", {Container("c", "exec sleep 1000", probe)}))});
  EXPECT_THAT(Output({"probe", "run", "web", "-c", "c", "--type", "liveness"}),
              ContainsRegex("^success in .*s: looked\n"));
  EXPECT_THAT(Output({"probe", "run", "web", "-o", "json"}), HasSubstr("\"outcome\": \"success\""));
  Output({"exec", "web", "touch", "/tmp/sick"});
  const ProgramResult failed = Fermata({"probe", "run", "web", "-c", "c", "--type", "liveness"});
  EXPECT_EQ(failed.code, 1) << failed.err;
  EXPECT_THAT(failed.out, StartsWith("failure in "));
  EXPECT_TRUE(Flights("c", "liveness").empty());
  EXPECT_EQ(Pods().at(0).at("containers").at(0).at("restart_count"), 0);
  EXPECT_THAT(Output({"probe", "history", "web"}), HasSubstr("c liveness: it has not run yet\n"));
  EXPECT_THAT(Output({"events", "web"}), Not(HasSubstr("Unhealthy")));
}

TEST_F(CliProbeTest, WhatIsNotThereIsSaid) {
  const auto error = [this](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "probe");
    const ProgramResult result = Fermata(std::move(arguments));
    EXPECT_EQ(result.code, 125) << result.out;
    return result.err;
  };
  RunPod();
  EXPECT_THAT(error({"ls", "none"}), HasSubstr("pod none does not exist"));
  EXPECT_THAT(error({"history", "none"}), HasSubstr("pod none does not exist"));
  EXPECT_THAT(error({"history", "web", "-c", "no"}), HasSubstr("has no container no; it has: c, side"));
  EXPECT_THAT(error({"run", "web", "-c", "side", "--type", "liveness"}),
              HasSubstr("container side has no liveness probe; the pod has: c liveness, c readiness, side readiness"));
  EXPECT_THAT(error({"run", "web"}), HasSubstr("several probes are meant: c liveness, c readiness, side readiness"));
  EXPECT_THAT(error({"run", "web", "--type", "bad"}), HasSubstr("--type"));
  EXPECT_THAT(error({"history", "web", "--format", "{{.Nothing}}"}), HasSubstr("there are .Run .Time"));
  Output({"stop", "-t", "0", "web"});
  EXPECT_THAT(error({"run", "web", "-c", "c", "--type", "liveness"}), HasSubstr("container c does not run"));
}

}  // namespace
}  // namespace fermata::testing
