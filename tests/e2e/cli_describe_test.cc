// `fermata describe` and `fermata restart`.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DescribeTest : public CliTest {};
class PodRestartTest : public CliTest {};

TEST_F(DescribeTest, ShowsHowTheLastRunEndedAndWhatTheManifestWants) {
  const std::string script = "test -e /volume/once && exec sleep 1000; touch /volume/once; exit 7";
  const std::string more =
      "volumeMounts: [{name: v, mountPath: /volume}]\n    env: [{name: TOKEN, value: hidden}]\n"
      "    readinessProbe: {exec: {command: [\"true\"]}, periodSeconds: 5}";
  const std::string id = Output(
      {"run", "-d", Yaml(Manifest("web", "volumes: [{name: v, emptyDir: {}}]", {Container("main", script, more)}))});
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("containers").at(0).at("restart_count") == 1; }));
  const std::string text = Output({"describe", "web"});
  for (const std::string& part :
       {std::string("Name:              web\n"), "ID:                " + id,
        std::string("Status:            Running\n"), std::string("    State:         Running\n"),
        std::string("    Last State:    Terminated\n"), std::string("      Exit Code:   7\n"),
        std::string("    Restart Count: 1\n"),
        std::string("readiness: exec [true] delay=0s timeout=1s period=5s #success=1 #failure=3"),
        std::string("    Environment:   TOKEN\n"), std::string("/volume from v\n"), std::string("v (emptyDir)\n"),
        std::string("Created container main")}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("hidden"))) << "a value may be a secret";
  const Json json = Json::parse(Output({"--json", "describe", id.substr(0, 12)}), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json.at("status").at("containers").at(0).at("last").at("exit_code"), 7);
}

TEST_F(DescribeTest, APodOfTheCriHasNoManifestAndNobodyIsAnError) {
  cri().RunPod("kubelets");
  EXPECT_THAT(Output({"describe", "kubelets"}), HasSubstr("Owner:             cri\n"));
  const ProgramResult none = Fermata({"describe", "nobody"});
  EXPECT_EQ(none.code, 125);
  EXPECT_THAT(none.err, HasSubstr("see: fermata pods"));
}

TEST_F(PodRestartTest, ARestartedPodIsANewOneOfTheSameManifest) {
  const std::string script =
      "trap 'exit 0' TERM; test -e /v/mark && echo old; touch /v/mark; echo up; "
      "while :; do usleep 10000; done";
  const std::string id = Output({"run", "-d",
                                 Yaml(Manifest("again", "volumes: [{name: v, emptyDir: {}}]",
                                               {Container("c", script, "volumeMounts: [{name: v, mountPath: /v}]")}))});
  ASSERT_TRUE(WaitUntil([&] { return Output({"logs", "again"}) == "up\n"; }));
  const std::string uid = Pods().at(0).at("uid");
  const std::string fresh = Output({"restart", "again", "-t", "5"});
  EXPECT_NE(fresh, id);
  const Json pods = Pods();
  ASSERT_EQ(pods.size(), 1U);
  EXPECT_EQ(pods.at(0).at("id").get<std::string>() + "\n", fresh);
  EXPECT_NE(pods.at(0).at("uid"), uid);
  EXPECT_EQ(pods.at(0).at("attempt"), 1);
  ASSERT_TRUE(WaitUntil([&] { return Output({"logs", "again"}) == "up\n"; })) << "its emptyDir is a new one";
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  Output({"restart", "again", "-t", "5"});
  EXPECT_EQ(Pods().at(0).at("attempt"), 2) << "the manifest is the daemon's";
}

TEST_F(PodRestartTest, APodThatIsOverRunsAgainAndOneOfTheCriIsRefused) {
  Output({"run", "-d", Yaml(Manifest("job", "restartPolicy: Never", {Container("c", "echo done")}))});
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("phase") == "Succeeded"; }));
  Output({"restart", "job"});
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("phase") == "Succeeded"; }));
  EXPECT_EQ(Output({"logs", "job"}), "done\n");
  cri().RunPod("kubelets");
  const ProgramResult refused = Fermata({"restart", "kubelets"});
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("not of a manifest"));
}

TEST_F(PodRestartTest, WhatCannotStartAgainStaysAsItIs) {
  std::filesystem::create_directory(directory_ / "host");
  const std::string volumes = "volumes: [{name: h, hostPath: {path: " + (directory_ / "host") + ", type: Directory}}]";
  Output({"run", "-d",
          Yaml(Manifest("stuck", volumes,
                        {Container("c", "exec sleep 1000", "volumeMounts: [{name: h, mountPath: /h}]")}))});
  std::filesystem::remove(directory_ / "host");
  const ProgramResult failed = Fermata({"restart", "stuck", "-t", "0"});
  EXPECT_EQ(failed.code, 125);
  EXPECT_THAT(failed.err, HasSubstr("has stopped and cannot be started again"));
  EXPECT_THAT(Output({"events", "stuck"}), HasSubstr("FailedCreatePodSandBox"));
  std::filesystem::create_directory(directory_ / "host");
  Output({"restart", "stuck"});
  EXPECT_EQ(Pods().at(0).at("phase"), "Running");
}

}  // namespace
}  // namespace fermata::testing
