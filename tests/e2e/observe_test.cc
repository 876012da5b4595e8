// A daemon that explains itself: its page for Prometheus, its log, and `fermata debug dump`, while pods come and go.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ObserveTest : public CliTest {
 protected:
  // Once for the suite: a daemon with the page, and log lines as JSON.
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped() || daemon().Log().find("metrics on ") != std::string::npos) return;
    WriteText(daemon() / "config.toml",
              "[cgroup]\nmissing_controllers = \"warn\"\n[network]\npods = \"none\"\n"
              "[metrics]\naddress = \"127.0.0.1\"\nport = 0\n[log]\nformat = \"json\"\nslow_operation_ms = 1\n");
    ASSERT_EQ(daemon().Terminate(), 0);
    ASSERT_TRUE(daemon().Restart());
  }

  static std::string Request(const std::string& text) {
    const std::string log = daemon().Log();
    const size_t at = log.rfind("metrics on http://127.0.0.1:");
    if (at == std::string::npos) return "no page";
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(log.substr(at + 28))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval limit{20, 0};
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return "no connection";
    if (!WriteAll(socket.get(), text)) return "not written";
    const auto answer = ReadAll(socket.get());
    return answer ? *answer : answer.error().message();
  }
  static std::string Page() { return Request("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); }
  // The value of a line; -1 if it is not there.
  static double Value(const std::string& page, const std::string& series) {
    const size_t at = page.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(page.substr(at + series.size() + 2));
  }
};

TEST_F(ObserveTest, ThePageCountsWhatAPodGoesThrough) {
  const std::string exits = "fermata_container_exits_total{reason=\"Error\"}";
  const double before = std::max(0.0, Value(Page(), exits));
  EXPECT_EQ(Fermata({"run", Yaml(Manifest("counted", "restartPolicy: Never", {Container("c", "exit 3")}))}).code, 3);
  Output({"run", "-d",
          Yaml(Manifest(
              "stays", "",
              {Container("c", "sleep 1000", "readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}")}))});
  ASSERT_TRUE(
      WaitUntil([&] { return Value(Page(), "fermata_probes_total{kind=\"readiness\",result=\"success\"}") >= 1; }));
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_EQ(Value(page, exits), before + 1);
  EXPECT_GE(Value(page, "fermata_container_starts_total{result=\"ok\"}"), 2);
  EXPECT_EQ(Value(page, "fermata_containers{state=\"running\"}"), 1);
  EXPECT_EQ(Value(page, "fermata_sandboxes{owner=\"pods\",state=\"ready\"}"), 1);
  EXPECT_EQ(Value(page, "fermata_monitors"), 1);
  EXPECT_GE(Value(page, "fermata_rpc_duration_seconds_count{method=\"Pods.Apply\",code=\"OK\"}"), 2);
  EXPECT_EQ(Value(page, "fermata_network_debts"), 0);
  for (const char* kind : {"cgroup", "monitor_cgroup", "run_directory", "netns", "mount"}) {
    EXPECT_EQ(Value(page, std::string("fermata_audit_unaccounted{kind=\"") + kind + "\"}"), 0) << kind;
  }
  EXPECT_EQ(Value(page, "fermata_audit_found{kind=\"cgroup\"}"), 1);
  EXPECT_EQ(Value(page, "fermata_audit_known{kind=\"cgroup\"}"), 1);
  EXPECT_GT(Value(page, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(Value(page, "process_open_fds"), 5);
}

TEST_F(ObserveTest, ThePageTellsOfAGroupThatNobodyAccountsFor) {
  const std::string group = daemon().cgroup_root() + "/pods/" + std::string(64, 'a');
  Output({"run", "-d", Yaml(Manifest("stays", "", {Container("c", "sleep 1000")}))});
  ASSERT_EQ(::mkdir(group.c_str(), 0755), 0);
  EXPECT_EQ(Value(Page(), "fermata_audit_unaccounted{kind=\"cgroup\"}"), 1);
  ASSERT_EQ(::rmdir(group.c_str()), 0);
  EXPECT_EQ(Value(Page(), "fermata_audit_unaccounted{kind=\"cgroup\"}"), 0);
}

TEST_F(ObserveTest, WhatIsNoRequestForThePageIsRefused) {
  EXPECT_THAT(Request("GET / HTTP/1.1\r\n\r\n"), HasSubstr("404"));
  EXPECT_THAT(Request("POST /metrics HTTP/1.1\r\n\r\n"), HasSubstr("405"));
  EXPECT_THAT(Request("nonsense\r\n\r\n"), HasSubstr("400"));
  EXPECT_THAT(Request(std::string(20000, 'x')), HasSubstr("431"));
  EXPECT_THAT(Request("HEAD /metrics HTTP/1.1\r\n\r\n"), Not(HasSubstr("# TYPE")));
}

TEST_F(ObserveTest, PrometheusOwnToolFindsNoFault) {
  if (::access("/usr/bin/promtool", X_OK) != 0) GTEST_SKIP() << "promtool is missing: packaging/setup.sh --tests";
  const std::string page = Page();
  const size_t body = page.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  const ProgramResult result =
      Program(directory_.path(), {"/usr/bin/promtool", "check", "metrics"}, {.input = page.substr(body + 4)}).Wait();
  EXPECT_EQ(result.code, 0) << result.out << result.err;
}

TEST_F(ObserveTest, EachLineOfTheLogIsAnObjectThatNamesWhatItIsAbout) {
  Output({"run", "-d", Yaml(Manifest("logged", "", {Container("c", "sleep 1000")}))});
  const std::string id = Pods().at(0).at("id");
  Output({"stop", "-t", "0", id});
  Output({"rm", id});
  bool slow = false;
  std::istringstream lines(daemon().Log());
  size_t objects = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) continue;  // of the daemon before this one
    ++objects;
    const std::string message = json.value("message", "");
    slow = slow || (message.find(" was slow, ") != std::string::npos && json.value("sandbox", "") == id &&
                    message.find("undo create snapshot") != std::string::npos);
  }
  EXPECT_GT(objects, 3U);
  EXPECT_TRUE(slow) << daemon().Log();
}

TEST_F(ObserveTest, DebugDumpShowsWhatIsUnderWay) {
  Output({"run", "-d", Yaml(Manifest("looked", "", {Container("c", "sleep 1000")}))});
  const std::string id = Pods().at(0).at("id");
  Program exec = Begin({"exec", "--timeout", "1000", "looked", "--", "sleep", "1000"});
  Json dump;
  const auto exec_runs = [&] {
    dump = Json::parse(Output({"--json", "debug", "dump"}), nullptr, false);
    const Json operations = dump.value("operations", Json::array());
    return std::any_of(operations.begin(), operations.end(), [](const Json& one) {
      return one.value("name", "") == "Pods.Exec" && one.value("patient", false) && one["ids"].contains("container");
    });
  };
  EXPECT_TRUE(WaitUntil(exec_runs)) << dump.dump(2);
  ASSERT_EQ(dump["monitors"].size(), 1U);
  EXPECT_EQ(dump["monitors"][0]["sandbox_id"], id);
  EXPECT_EQ(dump["monitors"][0]["state"], "connected");
  EXPECT_EQ(dump["network_debts"].size(), 0U);
  EXPECT_GT(std::stoull(dump["memory"]["proportional_bytes"].get<std::string>()), 1'000'000U);
  EXPECT_TRUE(dump["open_files"].contains("socket"));
  EXPECT_THAT(dump["metrics_url"].get<std::string>(), HasSubstr("http://127.0.0.1:"));
  EXPECT_THAT(Output({"debug", "dump"}), HasSubstr("System.Debug"));
  exec.Signal(SIGKILL);
  (void)exec.Wait();
}

TEST_F(ObserveTest, StatsShowWhatAContainerUses) {
  Output({"run", "-d",
          Yaml(Manifest("used", "", {Container("busy", "while :; do :; done"), Container("idle", "sleep 1000")}))});
  const Json rows = Json::parse(Output({"--json", "stats", "used"}), nullptr, false);
  ASSERT_EQ(rows.size(), 2U);
  for (const Json& row : rows) {
    const double percent = row.at("cpu_percent");
    if (row.at("name") == "busy") {
      EXPECT_GT(percent, 1);
    }
    if (row.at("name") == "idle") {
      EXPECT_LT(percent, 5);
    }
    EXPECT_GT(row.at("memory_bytes"), 0);
    EXPECT_GE(row.at("pids"), 1);
    EXPECT_EQ(row.at("pod"), "default/used");
  }
  EXPECT_THAT(Output({"stats", "--no-stream", "busy"}), Not(HasSubstr("idle")));
  const ProgramResult unknown = Fermata({"stats", "nobody"});
  EXPECT_EQ(unknown.code, 125);
  EXPECT_THAT(unknown.err, HasSubstr("nobody: no pod and no container has this name or id"));
}

TEST_F(ObserveTest, DoctorFindsTheDaemonAndIsContentWithoutOne) {
  const auto verdict = [](const ProgramResult& result, const std::string& check) -> std::string {
    for (const Json& one : Json::parse(result.out, nullptr, false)) {
      if (one.value("check", "") == check) return one.value("verdict", "");
    }
    return "missing";
  };
  const ProgramResult with = Fermata({"--json", "doctor", "--config", daemon() / "config.toml"});
  EXPECT_EQ(verdict(with, "daemon"), "ok") << with.out << with.err;
  EXPECT_EQ(verdict(with, "socket"), "ok");
  EXPECT_EQ(verdict(with, "kernel"), "ok");
  const ProgramResult without = Fermata({"--socket", daemon() / "none.sock", "--json", "doctor"});
  EXPECT_EQ(verdict(without, "daemon"), "warn") << without.out << without.err;
  WriteText(directory_ / "bad.toml", "colour = 1\n");
  const ProgramResult bad = Fermata({"doctor", "--config", directory_ / "bad.toml"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.out, HasSubstr("bad.toml:1: unknown key colour"));
}

TEST_F(ObserveTest, ConfigCommandsNeedNoDaemon) {
  WriteText(directory_ / "bad.toml", "data_dir = 1\n[network]\nmtu = 3\n");
  const ProgramResult bad = Fermata({"config", "check", directory_ / "bad.toml"});
  EXPECT_EQ(bad.code, 125);
  EXPECT_THAT(bad.err, HasSubstr("bad.toml:1: must be a string"));
  EXPECT_THAT(bad.err, HasSubstr("bad.toml:3: must be a number"));
  WriteText(directory_ / "good.toml", Output({"config", "default"}));
  EXPECT_THAT(Output({"config", "check", directory_ / "good.toml"}), HasSubstr("fine"));
  const Json dump =
      Json::parse(Output({"--json", "config", "dump", "--config", daemon() / "config.toml", "--data-dir", "/x"}));
  for (const Json& one : dump) {
    if (one["key"] == "data_dir") {
      EXPECT_EQ(one["source"], "--data-dir");
    }
    if (one["key"] == "network.pods") {
      EXPECT_EQ(one["source"], (daemon() / "config.toml") + ":4");
    }
  }
}

}  // namespace
}  // namespace fermata::testing
