// Forms of output, completion in bash, units for systemd.
#include <csignal>

#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class OutputTest : public CliTest {
 protected:
  void RunWeb() { id_ = Output({"run", "-d", Yaml(Manifest("web", "", {Container("main", "exec sleep 1000")}))}); }
  // What bash offers for the last of the words.
  std::string Offered(const std::string& words, int place) {
    const std::string script = "source <(\"$0\" completion bash); COMP_WORDS=(\"$0\" " + words +
                               "); COMP_CWORD=" + std::to_string(place) +
                               "; _fermata; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const ProgramResult result =
        Program(directory_.path(), {"/bin/bash", "-c", script, BuiltProgram("fermata")},
                {.input = "", .environment = {"FERMATA_SOCKET=" + daemon().socket(), "PATH=/usr/bin:/bin"}})
            .Wait();
    EXPECT_EQ(result.err, "");
    return result.out;
  }
  std::string id_;
};

TEST_F(OutputTest, PodsAreListedAsKubectlDoes) {
  RunWeb();
  EXPECT_THAT(Output({"pods"}), AllOf(ContainsRegex("POD ID +NAME +NAMESPACE +READY +STATUS +RESTARTS +AGE +IP\n"),
                                      ContainsRegex("web +default +1/1 +Running +0 +[0-9]+s ")));
  EXPECT_THAT(Output({"pods", "-o", "wide"}), AllOf(HasSubstr("UID"), HasSubstr(Pods().at(0).at("uid"))));
  EXPECT_EQ(Output({"pods", "-o", "name"}), "pod/web\n");
  EXPECT_EQ(Output({"pods", "-o", "json"}), Output({"--json", "pods"}));
  EXPECT_THAT(Output({"pods", "-o", "yaml"}), HasSubstr("name: web\n"));
  EXPECT_EQ(Output({"pods", "--format", "{{.Name}}\\t{{.Status}}"}), "web\tRunning\n");
  EXPECT_THAT(Output({"pods", "--format", "table {{.Name}}\\t{{.Ready}}"}), ContainsRegex("NAME +READY\nweb +1/1\n"));
  EXPECT_EQ(Json::parse(Output({"pods", "--format", "{{json .}}"}), nullptr, false).at("Phase"), "Running");
  const ProgramResult wrong = Fermata({"pods", "--format", "{{.Nmae}}"});
  EXPECT_EQ(wrong.code, 125);
  EXPECT_THAT(wrong.err, HasSubstr(".Name .Namespace"));
  EXPECT_EQ(Fermata({"pods", "-o", "xml"}).code, 125);
}

TEST_F(OutputTest, ContainersEventsAndImagesToo) {
  RunWeb();
  EXPECT_EQ(Output({"ps", "-o", "name"}), "container/main\n");
  EXPECT_EQ(Output({"ps", "--format", "{{.Pod}} {{.State}}"}), "web Running\n");
  EXPECT_THAT(Output({"events", "--format", "{{.Reason}} {{.Count}}"}), HasSubstr("Started 1\n"));
  EXPECT_THAT(Output({"image", "ls", "--format", "{{.Names}}"}), HasSubstr(kBusyboxImage));
  EXPECT_THAT(Output({"image", "ls", "-o", "yaml"}), HasSubstr("images:\n"));
  EXPECT_THAT(Output({"describe", "web", "-o", "yaml"}), HasSubstr("status:\n"));
  EXPECT_EQ(Fermata({"events", "-f", "-o", "yaml"}).code, 125);
}

TEST_F(OutputTest, TopIsOneTableWhereThereIsNoTerminal) {
  RunWeb();
  EXPECT_THAT(Output({"top"}),
              AllOf(ContainsRegex("NAME +CPU +MEMORY +PIDS +PRESSURE"), ContainsRegex("web +[0-9]+m ")));
  EXPECT_THAT(Output({"top", "web"}), ContainsRegex("\n  main +[0-9]+m "));
  EXPECT_EQ(Output({"top", "--format", "{{.Name}} {{.Restarts}}"}), "web 0\n");
  EXPECT_EQ(Json::parse(Output({"top", "-o", "json"}), nullptr, false).at("pods").at(0).at("name"), "web");
  EXPECT_EQ(Fermata({"top", "nobody"}).code, 125);
}

// On a terminal that script(1) makes.
TEST_F(OutputTest, TopIsDrawnAnewOnATerminalUntilItIsInterrupted) {
  if (!std::filesystem::exists("/usr/bin/script")) GTEST_SKIP() << "no script(1) on this machine";
  RunWeb();
  Program top(directory_.path(),
              {"/usr/bin/script", "-q", "-e", "-c", "exec " + BuiltProgram("fermata") + " top", "/dev/null"},
              {.input = "", .environment = {"FERMATA_SOCKET=" + daemon().socket(), "PATH=/usr/bin:/bin"}});
  const auto drawn = [&] {
    const std::string out = top.Out();
    size_t count = 0;
    for (size_t at = out.find("\x1b[H"); at != std::string::npos; at = out.find("\x1b[H", at + 1)) ++count;
    return count;
  };
  ASSERT_TRUE(WaitUntil([&] { return drawn() >= 2; })) << top.Out() << top.Err();
  EXPECT_THAT(top.Out(), HasSubstr("web "));
  top.Signal(SIGTERM);
  (void)top.Wait();  // script tells of its own end by the signal
}

TEST_F(OutputTest, BashCompletesCommandsOptionsAndPods) {
  RunWeb();
  EXPECT_EQ(Offered("desc", 1), "describe\n");
  EXPECT_EQ(Offered("pods --all", 2), "--all\n");
  EXPECT_EQ(Offered("pods -o ''", 3), "json\nyaml\nwide\nname\n");
  EXPECT_EQ(Offered("logs ''", 2), "web\n");
  EXPECT_EQ(Offered("completion f", 2), "fish\n");
  WriteText(directory_ / "some-file.yaml", "");
  EXPECT_EQ(Offered("run " + (directory_ / "some-f"), 2), (directory_ / "some-file.yaml") + "\n");
  for (const char* shell : {"zsh", "fish"}) EXPECT_THAT(Output({"completion", shell}), HasSubstr("__complete"));
}

TEST_F(OutputTest, UnitsOfManifestsAndPodsAreWhatSystemdTakes) {
  RunWeb();
  const std::string file = directory_ / "pod.yaml";
  const std::string of_file = Output({"generate", "systemd", file});
  EXPECT_THAT(of_file, AllOf(HasSubstr(" run --replace " + file + "\n"), HasSubstr("TimeoutStopSec=35\n")));
  const std::string of_pod = Output({"generate", "systemd", "web"});
  EXPECT_THAT(of_pod, AllOf(HasSubstr(" restart default/web\n"), HasSubstr(" stop default/web\n")));
  const ProgramResult none = Fermata({"generate", "systemd", "nobody"});
  EXPECT_EQ(none.code, 125);
  EXPECT_THAT(none.err, HasSubstr("neither a file nor a pod"));
  WriteText(directory_ / "broken.yaml", "kind: Pod\n");
  EXPECT_EQ(Fermata({"generate", "systemd", directory_ / "broken.yaml"}).code, 125);
  if (!std::filesystem::exists("/usr/bin/systemd-analyze")) GTEST_SKIP() << "no systemd-analyze on this machine";
  for (const std::string& unit : {of_file, of_pod}) {
    WriteText(directory_ / "web.service", unit);
    const ProgramResult verified =
        Program(directory_.path(), {"/usr/bin/systemd-analyze", "verify", directory_ / "web.service"}).Wait();
    EXPECT_EQ(verified.code, 0) << verified.err;
    EXPECT_THAT(verified.err, Not(HasSubstr("web.service:"))) << "it warns of what it ignores";
  }
}

}  // namespace
}  // namespace fermata::testing
