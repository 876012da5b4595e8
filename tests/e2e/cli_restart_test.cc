// The command line and its pods while the daemon dies and another one takes over.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

class CliRestartTest : public CliTest {
 protected:
  static void CrashAndRestart() {
    daemon().Kill9();
    ASSERT_TRUE(daemon().Restart());
  }
  static std::string Numbers(const std::string& prefix, int last) {
    std::string text;
    for (int i = 1; i <= last; ++i) text += prefix + std::to_string(i) + "\n";
    return text;
  }
  // The lines of `text` that begin with `prefix`.
  static std::string LinesOf(const std::string& text, const std::string& prefix) {
    std::istringstream all(text);
    std::string lines;
    for (std::string line; std::getline(all, line);) {
      if (line.starts_with(prefix)) lines += line + "\n";
    }
    return lines;
  }
};

TEST_F(CliRestartTest, ARunInTheForegroundGoesOnWithEveryLineOnce) {
  const std::string count = "for i in `seq 400`; do echo $i; usleep 3000; done";
  Program run =
      Begin({"run", Yaml(Manifest("counts", "restartPolicy: Never", {Container("a", count), Container("b", count)}))});
  ASSERT_TRUE(WaitUntil([&] { return run.Out().find("a | 50\n") != std::string::npos; })) << run.Err();
  CrashAndRestart();
  const ProgramResult result = run.Wait();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(LinesOf(result.out, "a | "), Numbers("a | ", 400));
  EXPECT_EQ(LinesOf(result.out, "b | "), Numbers("b | ", 400));
  EXPECT_TRUE(Pods().empty());
}

TEST_F(CliRestartTest, LinesOfTheSameInstantAreNotLost) {
  const std::string bursts =
      "for i in `seq 40`; do busybox awk -v n=$i 'BEGIN {for (j = 1; j <= 100; ++j) print (n - 1) * 100 + j}'; usleep "
      "20000; done";
  Program run = Begin({"run", Yaml(Manifest("bursts", "restartPolicy: Never", {Container("c", bursts)}))});
  ASSERT_TRUE(WaitUntil([&] { return run.Out().size() > 1000; })) << run.Err();
  CrashAndRestart();
  const ProgramResult result = run.Wait();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, Numbers("", 4000));
}

// The attempt that was being read when the daemon died has ended since, and another one has begun.
TEST_F(CliRestartTest, LinesOfAnAttemptBeforeTheNewestAreNotLost) {
  std::filesystem::create_directory(directory_ / "work");
  const std::string script =
      "echo attempt; echo first; until test -e /volume/go; do usleep 5000; done; rm /volume/go; for i in `seq 50`; do "
      "echo $i; done; exit 1";
  const std::string yaml = Manifest(
      "attempts", "restartPolicy: OnFailure\n  volumes: [{name: w, hostPath: {path: " + (directory_ / "work") + "}}]",
      {Container("c", script, "volumeMounts: [{name: w, mountPath: /volume}]"),
       Container("silent", "until test -e /volume/heard; do usleep 5000; done; echo spoken; exec sleep 1000",
                 "volumeMounts: [{name: w, mountPath: /volume}]")});
  Program run = Begin({"run", Yaml(yaml)});
  ASSERT_TRUE(WaitUntil([&] { return run.Out().find("first\n") != std::string::npos; })) << run.Err();
  daemon().Kill9();
  WriteText(directory_ / "work/heard", "");
  WriteText(directory_ / "work/go", "");
  ASSERT_TRUE(WaitUntil([&] { return !std::filesystem::exists(directory_ / "work/go"); }));
  ASSERT_TRUE(daemon().Restart());
  const std::string twice = "c      | attempt\nc      | first\n";
  ASSERT_TRUE(WaitUntil([&] {
    return LinesOf(run.Out(), "c ") == twice + Numbers("c      | ", 50) + twice &&
           LinesOf(run.Out(), "silent ") == "silent | spoken\n";
  })) << run.Out();
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait().code, 130);
}

TEST_F(CliRestartTest, ARestartPolicyHoldsAcrossARestartOfTheDaemon) {
  std::filesystem::create_directory(directory_ / "work");
  const std::string script =
      "echo x >> /volume/starts; until test -e /volume/go; do usleep 5000; done; rm /volume/go; exit 1";
  const std::string yaml = Manifest(
      "survivor", "restartPolicy: Always\n  volumes: [{name: w, hostPath: {path: " + (directory_ / "work") + "}}]",
      {Container("c", script, "volumeMounts: [{name: w, mountPath: /volume}]")});
  Output({"run", "-d", Yaml(yaml)});
  const auto starts = [&](size_t count) {
    return WaitUntil([&] { return ReadText(directory_ / "work/starts").size() == 2 * count; });
  };
  ASSERT_TRUE(starts(1));
  daemon().Kill9();
  WriteText(directory_ / "work/go", "");
  ASSERT_TRUE(WaitUntil([&] { return !std::filesystem::exists(directory_ / "work/go"); }));
  EXPECT_EQ(ReadText(directory_ / "work/starts"), "x\n") << "nobody restarts it while no daemon is there";
  ASSERT_TRUE(daemon().Restart());
  EXPECT_TRUE(starts(2)) << "the first restart is immediate";
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("containers").at(0).at("state") == "Running"; }));
  EXPECT_EQ(Pods().at(0).at("containers").at(0).at("restart_count"), 1);
  EXPECT_EQ(Fermata({"exec", "survivor", "true"}).code, 0);
  EXPECT_EQ(Fermata({"stop", "survivor", "-t", "0"}).code, 0);
  EXPECT_EQ(Fermata({"rm", "survivor"}).code, 0);
}

TEST_F(CliRestartTest, TheEndOfTheDaemonIsNotTheEndOfARun) {
  Program run =
      Begin({"run", Yaml(Manifest("outlives", "restartPolicy: Never",
                                  {Container("c", "for i in `seq 200`; do echo $i; usleep 5000; done; exit 9")}))});
  ASSERT_TRUE(WaitUntil([&] { return run.Out().find("\n20\n") != std::string::npos; })) << run.Err();
  EXPECT_EQ(daemon().Terminate(), 0);
  ASSERT_TRUE(daemon().Restart());
  const ProgramResult result = run.Wait();
  EXPECT_EQ(result.code, 9) << result.err;
  EXPECT_EQ(result.out, Numbers("", 200));
}

}  // namespace
}  // namespace fermata::testing
