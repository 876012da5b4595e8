// `fermata apply`, `fermata run --replace`, and waiting.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ApplyTest : public CliTest {
 protected:
  std::string Web(const std::string& command, const std::string& more = "") {
    return Manifest("web", "terminationGracePeriodSeconds: 1", {Container("main", command, more)});
  }
};

TEST_F(ApplyTest, CreatesLeavesAndReplacesAndTellsWhatDiffers) {
  EXPECT_EQ(Output({"apply", "-"}, Web("exec sleep 1000")), "pod/web created\n");
  const std::string id = Pods().at(0).at("id");
  EXPECT_EQ(Output({"apply", "-"}, "# a remark\n" + Web("exec sleep 1000")), "pod/web unchanged\n");
  EXPECT_EQ(Pods().at(0).at("id"), id);

  const std::string other = Web("exec sleep 1001", "env: [{name: A, value: hidden}]");
  const ProgramResult refused = Fermata({"apply", "-"}, other);
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("spec.containers[0].command[2]: exec sleep 1000 -> exec sleep 1001"),
                                 HasSubstr("spec.containers[0].env"), HasSubstr("--replace")));
  EXPECT_EQ(Pods().at(0).at("id"), id) << "nothing has changed";
  const std::string would = Output({"apply", "--dry-run", "-"}, other);
  EXPECT_THAT(would,
              AllOf(HasSubstr("pod/web would be replaced\n"), HasSubstr("  - exec sleep 1000\n  + exec sleep 1001\n")));
  EXPECT_EQ(Pods().at(0).at("id"), id);
  EXPECT_THAT(Output({"apply", "--replace", "-"}, other), HasSubstr("pod/web replaced\n"));
  EXPECT_NE(Pods().at(0).at("id"), id);
  const ProgramResult variable = Fermata({"apply", "-"}, Web("exec sleep 1001", "env: [{name: A, value: new}]"));
  EXPECT_THAT(variable.err, HasSubstr("env[0].value: <hidden> -> <hidden>"));
}

TEST_F(ApplyTest, WhatIsReferredToCountsAndASecretStaysOne) {
  const auto with_secret = [&](const std::string& value) {
    return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: " + value + "}\n---\n" +
           Web("exec sleep 1000", "envFrom: [{secretRef: {name: s}}]");
  };
  Output({"apply", "-"}, with_secret("one"));
  const ProgramResult refused = Fermata({"apply", "-"}, with_secret("two"));
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("Secret/s: stringData.key: <hidden> -> <hidden>"));
}

TEST_F(ApplyTest, RunReplacesWhatHasTheNameAndSaysSoWhereItMayNot) {
  Output({"run", "-d", "-"}, Web("exec sleep 1000"));
  const ProgramResult refused = Fermata({"run", "-d", "-"}, Web("exec sleep 1000"));
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("--replace"));
  Output({"run", "-d", "--replace", "-"}, Web("exec sleep 1000"));
  EXPECT_EQ(Pods().size(), 1U);
  EXPECT_EQ(Pods().at(0).at("attempt"), 1);
}

TEST_F(ApplyTest, WaitsUntilPodsAreReadyOrHaveEnded) {
  std::filesystem::create_directory(directory_ / "work");
  const std::string volumes = "volumes: [{name: w, hostPath: {path: " + (directory_ / "work") + "}}]";
  const std::string probe =
      "volumeMounts: [{name: w, mountPath: /w}]\n"
      "    readinessProbe: {exec: {command: [test, -e, /w/ok]}, periodSeconds: 1}";
  const std::string yaml = Manifest("slow", volumes, {Container("c", "exec sleep 1000", probe)});
  const ProgramResult late = Fermata({"run", "-d", "--wait", "ready", "--timeout", "1s", "-"}, yaml);
  EXPECT_EQ(late.code, 125);
  EXPECT_THAT(late.err, HasSubstr("pod slow is not ready after the time of --timeout, and runs on"));
  Program waits = Begin({"apply", "--wait", "ready", "-"}, yaml);
  ASSERT_TRUE(WaitUntil([&] { return waits.Out() == "pod/slow unchanged\n"; }));
  WriteText(directory_ / "work/ok", "x");
  EXPECT_EQ(waits.Wait().code, 0);

  const auto job = [&](const std::string& name, const std::string& script) {
    return Manifest(name, "restartPolicy: Never", {Container("c", script)});
  };
  EXPECT_EQ(Fermata({"run", "-d", "--wait", "completed", "-"}, job("good", "true")).code, 0);
  EXPECT_EQ(Fermata({"run", "-d", "--wait", "completed", "-"}, job("bad", "exit 7")).code, 7);
  const ProgramResult ended = Fermata({"run", "-d", "--replace", "--wait", "ready", "-"}, job("bad", "exit 7"));
  EXPECT_TRUE(ended.code == 125 || ended.code == 0) << "it may have been ready for a moment";
  EXPECT_EQ(Fermata({"run", "--wait", "ready", "-"}, job("other", "true")).code, 125) << "only with -d";
}

}  // namespace
}  // namespace fermata::testing
