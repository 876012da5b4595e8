// Probes, hooks, init containers and sidecars of real pods, in real time. What the containers do lies in a directory
// that they share with the test.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

class ProbeTest : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    std::filesystem::create_directory(directory_ / "work");
  }
  // A pod whose containers have the directory at /w.
  std::string Pod(const std::string& name, const std::string& spec, const std::string& init,
                  const std::vector<std::string>& containers) {
    const std::string volumes = "volumes: [{name: w, hostPath: {path: " + (directory_ / "work") + "}}]";
    std::string text = volumes + (spec.empty() ? "" : "\n  " + spec);
    if (!init.empty()) text += "\n  initContainers:\n" + init.substr(0, init.size() - 1);
    return Yaml(Manifest(name, text, containers));
  }
  static std::string Shared(const std::string& name, const std::string& script, const std::string& more = "") {
    return Container(name, script, "volumeMounts: [{name: w, mountPath: /w}]" + (more.empty() ? "" : "\n    " + more));
  }
  std::string Work(const std::string& file) { return ReadText(directory_ / ("work/" + file)); }
  void Put(const std::string& file) { WriteText(directory_ / ("work/" + file), "x"); }
  void Take(const std::string& file) { std::filesystem::remove(directory_ / ("work/" + file)); }

  Json Only() { return Pods().at(0); }
  bool Ready() {
    const Json pod = Only();
    for (const Json& condition : pod.at("conditions")) {
      if (condition.at("type") == "Ready") return condition.at("status");
    }
    return false;
  }
  int Restarts() { return Only().at("containers").at(0).at("restart_count"); }
};

TEST_F(ProbeTest, ReadinessFlipsAndKillsNothing) {
  const std::string probe =
      "readinessProbe: {exec: {command: [test, -e, /w/ok]}, periodSeconds: 1, failureThreshold: 2}";
  Output({"run", "-d", Pod("flips", "", "", {Shared("c", "exec sleep 1000", probe)})});
  EXPECT_FALSE(Ready());
  EXPECT_THAT(Output({"pods"}), ::testing::HasSubstr("0/1"));
  Put("ok");
  ASSERT_TRUE(WaitUntil([&] { return Ready(); }));
  EXPECT_THAT(Output({"pods"}), ::testing::HasSubstr("1/1"));
  Take("ok");
  ASSERT_TRUE(WaitUntil([&] { return !Ready(); }));
  EXPECT_EQ(Restarts(), 0);
}

TEST_F(ProbeTest, ReadinessAndStartupSurviveADaemon) {
  const std::string probes =
      "startupProbe: {exec: {command: [sh, -c, 'echo s >> /w/startups']}, periodSeconds: 1}\n"
      "    readinessProbe: {exec: {command: [test, -e, /w/ok]}, periodSeconds: 2}";
  Put("ok");
  Output({"run", "-d", Pod("stays", "", "", {Shared("c", "exec sleep 1000", probes)})});
  ASSERT_TRUE(WaitUntil([&] { return Ready(); }));
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  EXPECT_TRUE(Ready());
  EXPECT_EQ(Work("startups"), "s\n");
  Take("ok");
  EXPECT_TRUE(WaitUntil([&] { return !Ready(); })) << "the new daemon goes on probing";
  EXPECT_EQ(Work("startups"), "s\n") << "by now it would have probed that again";
}

TEST_F(ProbeTest, ALivenessFailureKillsAndRestartsAtOnceAfterPreStop) {
  const std::string more =
      "livenessProbe: {exec: {command: [test, '!', -e, /w/sick]}, periodSeconds: 1, failureThreshold: 2}\n"
      "    lifecycle: {preStop: {exec: {command: [sh, -c, 'echo stop >> /w/log; rm /w/sick']}}}";
  const std::string script =
      "trap 'echo term >> /w/log; exit 0' TERM; echo start >> /w/log; while :; do sleep 0.05; done";
  Output({"run", "-d", Pod("lives", "restartPolicy: OnFailure", "", {Shared("c", script, more)})});
  ASSERT_TRUE(WaitUntil([&] { return Work("log") == "start\n"; }));
  Put("sick");
  ASSERT_TRUE(WaitUntil([&] { return Work("log") == "start\nstop\nterm\nstart\n"; })) << Work("log");
  ASSERT_TRUE(WaitUntil([&] { return Restarts() == 1; }));
}

TEST_F(ProbeTest, AnExecProbeThatTimesOutLeavesNoProcessAndFails) {
  const std::string probe =
      "readinessProbe: {exec: {command: [sh, -c, 'sleep 4321 & sleep 4321']}, periodSeconds: 5, timeoutSeconds: 1}";
  const std::string script = "exec sleep 1000";
  Output({"run", "-d", Pod("late", "", "", {Shared("c", script, probe)})});
  const auto sleepers = [&] {
    const std::string list = Output({"exec", "late", "ps"});
    return list.find("4321") != std::string::npos;
  };
  ASSERT_TRUE(WaitUntil(sleepers));
  ASSERT_TRUE(WaitUntil([&] { return !sleepers(); }));
  EXPECT_FALSE(Ready());
}

TEST_F(ProbeTest, StartupGatesLiveness) {
  const std::string probes =
      "startupProbe: {exec: {command: [sh, -c, 'echo s >> /w/log; test -e /w/up']}, periodSeconds: 1, "
      "failureThreshold: 100}\n"
      "    livenessProbe: {exec: {command: [sh, -c, 'echo l >> /w/log']}, periodSeconds: 1}";
  Output({"run", "-d", Pod("gated", "", "", {Shared("c", "exec sleep 1000", probes)})});
  ASSERT_TRUE(WaitUntil([&] { return Work("log").starts_with("s\ns\n"); }));
  EXPECT_EQ(Work("log").find('l'), std::string::npos);
  EXPECT_FALSE(Only().at("containers").at(0).at("started"));
  Put("up");
  ASSERT_TRUE(WaitUntil([&] { return Work("log").ends_with("l\nl\n"); }));
  const std::string log = Work("log");
  EXPECT_EQ(log.find('s', log.find('l')), std::string::npos) << "no startup probe after its success: " << log;
  EXPECT_TRUE(Ready());
}

TEST_F(ProbeTest, AStartupFailureKills) {
  const std::string probe =
      "startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1, "
      "terminationGracePeriodSeconds: 2}";
  Output({"run", "-d", Pod("never", "", "", {Shared("c", "exec sleep 1000", probe)})});
  EXPECT_TRUE(WaitUntil([&] { return Restarts() >= 1; }));
}

TEST_F(ProbeTest, HttpAndTcpReachAPodOfTheHostAndOneWithALoopbackOnly) {
  for (const std::string network : {"hostNetwork: true", ""}) {
    const std::string port = network.empty() ? "8080" : "18473";
    const std::string probes = "readinessProbe: {httpGet: {port: " + port +
                               ", path: /ok}, periodSeconds: 1}\n    livenessProbe: {tcpSocket: {port: " + port +
                               "}, periodSeconds: 1, failureThreshold: 100}";
    const std::string script = "mkdir /tmp/www; cd /tmp/www; ln -s /w/ok ok; exec busybox httpd -f -p " + port;
    Output({"run", "-d", Pod("web", network, "", {Shared("c", script, probes)})});
    EXPECT_FALSE(Ready());
    Put("ok");
    EXPECT_TRUE(WaitUntil([&] { return Ready(); })) << network;
    Take("ok");
    EXPECT_TRUE(WaitUntil([&] { return !Ready(); })) << network;
    Output({"stop", "-t", "0", "web"});
    Output({"rm", "web"});
  }
}

TEST_F(ProbeTest, InitContainersRunInOrderAndAFailedOneIsRunAgain) {
  const std::string init = Shared("one", "echo one >> /w/log; test -e /w/again || { touch /w/again; exit 1; }") +
                           Shared("two", "echo two >> /w/log");
  Output({"run", Pod("init", "restartPolicy: OnFailure", init, {Shared("c", "echo main >> /w/log")})});
  EXPECT_EQ(Work("log"), "one\none\ntwo\nmain\n");
}

TEST_F(ProbeTest, AFailedInitContainerOfAPodThatIsNeverRestartedFailsIt) {
  const ProgramResult result = Fermata(
      {"run", Pod("fails", "restartPolicy: Never", Shared("one", "exit 7"), {Shared("c", "echo main >> /w/log")})});
  EXPECT_EQ(result.code, 7) << result.err;
  EXPECT_EQ(Work("log"), "");
}

TEST_F(ProbeTest, SidecarsStartBeforeAndStopAfterInReverseOrder) {
  const auto sidecar = [](const std::string& name) {
    return Shared(
        name,
        "trap 'echo -" + name + " >> /w/log; exit 0' TERM; touch /w/up-" + name + "; echo +" + name +
            " >> /w/log; while :; do sleep 0.02; done",
        "restartPolicy: Always\n    startupProbe: {exec: {command: [test, -e, /w/up-" + name + "]}, periodSeconds: 1}");
  };
  Output(
      {"run", "-d",
       Pod("side", "", sidecar("a") + sidecar("b"),
           {Shared("c", "trap 'echo -c >> /w/log; exit 0' TERM; echo +c >> /w/log; while :; do sleep 0.02; done")})});
  ASSERT_TRUE(WaitUntil([&] { return Ready(); }));
  EXPECT_EQ(Work("log"), "+a\n+b\n+c\n");
  EXPECT_THAT(Output({"pods"}), ::testing::HasSubstr("3/3"));
  Output({"stop", "side"});
  EXPECT_EQ(Work("log"), "+a\n+b\n+c\n-c\n-b\n-a\n");
}

TEST_F(ProbeTest, ASidecarDoesNotKeepAPodAlive) {
  const std::string sidecar = Shared("s", "trap 'exit 0' TERM; while :; do sleep 0.02; done", "restartPolicy: Always");
  Output({"run", Pod("over", "restartPolicy: Never", sidecar, {Shared("c", "echo main >> /w/log")})});
  EXPECT_EQ(Work("log"), "main\n");
}

TEST_F(ProbeTest, PostStartDelaysTheNextContainerAndItsFailureKills) {
  const std::string first = Shared("a", "exec sleep 1000",
                                   "lifecycle: {postStart: {exec: {command: [sh, -c, 'until test -e /w/go; do usleep "
                                   "20000; done; echo hook >> /w/log']}}}");
  Output({"run", "-d", Pod("hooks", "", "", {first, Shared("b", "echo b >> /w/log; exec sleep 1000")})});
  ASSERT_TRUE(WaitUntil([&] { return Only().at("containers").at(0).at("state") == "Running"; }));
  EXPECT_EQ(Only().at("containers").at(1).at("state"), "Waiting");
  Put("go");
  ASSERT_TRUE(WaitUntil([&] { return Work("log") == "hook\nb\n"; }));
  Output({"stop", "-t", "0", "hooks"});
  Output({"rm", "hooks"});
  const std::string bad = Shared("a", "trap 'exit 3' TERM; while :; do sleep 0.02; done",
                                 "lifecycle: {postStart: {exec: {command: ['false']}}}");
  const ProgramResult result = Fermata({"run", Pod("bad", "restartPolicy: Never", "", {bad})});
  EXPECT_EQ(result.code, 3) << result.err;
}

}  // namespace
}  // namespace fermata::testing
