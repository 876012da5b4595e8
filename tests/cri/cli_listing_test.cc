// Forms of what is listed: templates, YAML, pods in kubectl's words, completion, words of units.
#include <gmock/gmock.h>

#include "cri/cli/complete.h"
#include "cri/cli/generate.h"
#include "cri/cli/listing.h"
#include "cri/cli/pod_text.h"
#include "cri/cli/probe_table.h"
#include "cri/cli/row_template.h"
#include "cri/cli/top.h"

namespace fermata::cri::cli {
namespace {

namespace fv1 = ::fermata::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kFields = {"Name", "Status"};
const std::vector<std::string> kCells = {"web", "a\"b"};

std::string RowOf(const std::string& text) {
  const auto parsed = RowTemplate::Parse(text, kFields);
  return parsed ? parsed->Row(kCells) : "error: " + parsed.error().message();
}

TEST(RowTemplate, FieldsEscapesAndJsonAreSubstituted) {
  EXPECT_EQ(RowOf("{{.Name}}\\t{{.Status}}"), "web\ta\"b");
  EXPECT_EQ(RowOf("<{{ .Name }}>\\n\\\\\\x"), "<web>\n\\\\x");
  EXPECT_EQ(RowOf("{{json .Status}}"), R"("a\"b")");
  EXPECT_EQ(RowOf("{{json .}}"), R"({"Name":"web","Status":"a\"b"})");
  EXPECT_EQ(RowOf("json"), RowOf("{{json .}}"));
  EXPECT_EQ(RowOf("plain"), "plain");
}

TEST(RowTemplate, WhatIsNotThereIsAnErrorThatSaysWhatIs) {
  EXPECT_THAT(RowOf("{{.Nmae}}"), HasSubstr("there are .Name .Status"));
  EXPECT_THAT(RowOf("{{range .}}"), HasSubstr("error: "));
  EXPECT_THAT(RowOf("{{.Name"), HasSubstr("has no }}"));
  EXPECT_THAT(RowOf(""), HasSubstr("empty"));
  EXPECT_THAT(RowOf("table "), HasSubstr("empty"));
}

TEST(RowTemplate, ATableHasItsColumnsBetweenTabs) {
  const auto parsed = RowTemplate::Parse("table {{.Name}}:\\t{{.Status}}", kFields);
  ASSERT_TRUE(parsed);
  ASSERT_TRUE(parsed->table());
  EXPECT_THAT(parsed->Columns({"NAME", "STATUS"}, true), ElementsAre("NAME:", "STATUS"));
  EXPECT_THAT(parsed->Columns(kCells, false), ElementsAre("web:", "a\"b"));
}

TEST(Yaml, StringsStayStrings) {
  EXPECT_EQ(YamlOfJson(R"({"a":"yes","b":"10","c":"plain","d":true,"e":[],"f":[1,"x: y"],"g":{"h":null}})"),
            "a: \"yes\"\nb: \"10\"\nc: plain\nd: true\ne:\n  []\nf:\n  - 1\n  - \"x: y\"\ng:\n  h: ~\n");
}

fv1::ContainerStatus& Add(fv1::PodStatus& pod, const std::string& state, bool ready, int code = 0) {
  fv1::ContainerStatus& container = *pod.add_containers();
  container.set_state(state);
  container.set_ready(ready);
  container.set_exit_code(code);
  if (state == "Exited") container.set_reason(code == 0 ? "Completed" : "Error");
  return container;
}

void Condition(fv1::PodStatus& pod, const std::string& type, bool status) {
  fv1::PodCondition& condition = *pod.add_conditions();
  condition.set_type(type);
  condition.set_status(status);
}

TEST(PodText, StatusIsKubectls) {
  fv1::PodStatus pod;
  pod.set_phase("Running");
  Condition(pod, "Initialized", true);
  Add(pod, "Running", true);
  EXPECT_EQ(StatusText(pod), "Running");
  Add(pod, "Exited", false);
  EXPECT_EQ(StatusText(pod), "NotReady") << "one is done, one runs, and the pod is not ready";
  EXPECT_EQ(ReadyText(pod), "1/2");
  Add(pod, "CrashLoopBackOff", false, 3).set_restart_count(4);
  pod.mutable_containers(2)->mutable_last()->set_finished_at_unix_nanos(1'000'000'000);
  pod.mutable_containers(1)->set_state("Running");
  EXPECT_EQ(StatusText(pod), "CrashLoopBackOff");
  EXPECT_EQ(RestartsText(pod, 61'000'000'000), "4 (60s ago)");
  pod.set_reason("DeadlineExceeded");
  pod.mutable_containers(2)->set_state("Exited");
  EXPECT_EQ(StatusText(pod), "DeadlineExceeded");
}

TEST(PodText, InitContainersAreCountedUntilTheyAreDone) {
  fv1::PodStatus pod;
  pod.set_phase("Pending");
  pod.set_sandbox_ready(true);
  Condition(pod, "Initialized", false);
  Add(pod, "Waiting", false);
  for (const char* state : {"Exited", "Running"}) {
    pod.add_init_containers()->set_state(state);
  }
  EXPECT_EQ(StatusText(pod), "Init:1/2");
  pod.mutable_init_containers(1)->set_state("Exited");
  pod.mutable_init_containers(1)->set_exit_code(2);
  EXPECT_EQ(StatusText(pod), "Init:ExitCode:2");
  pod.mutable_init_containers(1)->set_state("CrashLoopBackOff");
  pod.mutable_init_containers(1)->set_restart_count(1);
  EXPECT_EQ(StatusText(pod), "Init:CrashLoopBackOff");
  EXPECT_EQ(RestartsText(pod, 0), "1");
}

class CompleteTest : public ::testing::Test {
 protected:
  CompleteTest() {
    app_.add_option("--socket", text_, "the socket");
    CLI::App* pods = app_.add_subcommand("pods", "List pods");
    pods->add_option("-o,--output", text_, "form")->check(CLI::IsMember({"json", "wide"}))->option_text("FORM");
    pods->add_flag("-a,--all", flag_, "all");
    CLI::App* image = app_.add_subcommand("image", "Images");
    image->add_subcommand("ls", "List");
    CLI::App* exec = app_.add_subcommand("logs", "Logs");
    exec->add_option("POD", text_, "pod");
    CLI::App* run = app_.add_subcommand("run", "Run");
    run->add_option("FILE", text_, "file");
    CLI::App* rm = app_.add_subcommand("rm", "Remove");
    rm->add_option("POD", list_, "pods");
  }
  std::vector<std::string> Words(const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const Candidate& candidate : Find(words).words) found.push_back(candidate.word);
    return found;
  }
  Candidates Find(const std::vector<std::string>& words) {
    return Complete(app_, words, [](const std::string& kind) {
      return kind == "POD" ? std::vector<std::string>{"web", "db"} : std::vector<std::string>();
    });
  }

  CLI::App app_;
  std::string text_;
  std::vector<std::string> list_;
  bool flag_ = false;
};

TEST_F(CompleteTest, CommandsOptionsValuesAndNamesComeFromTheCommandLineItself) {
  EXPECT_THAT(Words({"p"}), ElementsAre("pods"));
  EXPECT_THAT(Words({"image", ""}), ElementsAre("ls"));
  EXPECT_THAT(Words({"pods", "--a"}), ElementsAre("--all"));
  EXPECT_THAT(Words({"pods", "--s"}), ElementsAre("--socket"));
  EXPECT_THAT(Words({"pods", "-o", ""}), ElementsAre("json", "wide"));
  EXPECT_THAT(Words({"logs", ""}), ElementsAre("web", "db"));
  EXPECT_THAT(Words({"logs", "d"}), ElementsAre("db"));
  EXPECT_THAT(Words({"logs", "web", ""}), IsEmpty()) << "it takes one";
  EXPECT_THAT(Words({"rm", "web", "d"}), ElementsAre("db")) << "it takes several";
  EXPECT_THAT(Words({"--socket", "pods", "lo"}), ElementsAre("logs")) << "that is a value, no command";
  EXPECT_EQ(Find({"pods", "--al"}).words.at(0).description, "all");
  EXPECT_TRUE(Find({"run", ""}).files);
  EXPECT_FALSE(Find({"logs", ""}).files);
}

TEST(Top, ShowsWhatIsKnownAndNothingElse) {
  fv1::PodStatsResponse stats;
  fv1::PodStats& pod = *stats.add_pods();
  pod.set_name("web");
  pod.set_restarts(2);
  pod.mutable_usage()->set_cpu_nano_cores(12'400'000);
  pod.mutable_usage()->set_memory_bytes(5000);
  pod.mutable_usage()->set_memory_pressure(3.4);
  fv1::ContainerStats& container = *pod.add_containers();
  container.set_name("c");
  fv1::ProbeHistory& probe = *container.add_probes();
  probe.set_type("readiness");
  probe.set_results("+-!");
  const Listing plain = TopListing(stats, false, false);
  EXPECT_THAT(plain.rows, ElementsAre(ElementsAre("web", "12m", "5.0 kB", "-", "-/3/-", "-", "2", "readiness:+-!")));
  const Listing both = TopListing(stats, true, true);
  ASSERT_EQ(both.rows.size(), 2U);
  EXPECT_EQ(both.rows[0].back(), "");
  EXPECT_EQ(both.rows[1].front(), "  c");
  EXPECT_EQ(both.rows[1].back(), "readiness:\u2588\u2581\u2592");
  EXPECT_EQ(Clipped("a\u2588b", 2), "a\u2588");
  EXPECT_EQ(Clipped("ab", 5), "ab");
}

TEST(ProbeTable, ShowsWhatIsKnownAndNothingThatSteersATerminal) {
  fv1::ProbeHistoryResponse history;
  fv1::ProbeFlights& probe = *history.add_probes();
  probe.mutable_probe()->set_container("c");
  probe.mutable_probe()->set_type("liveness");
  probe.set_verdict("1 of 1 runs failed");
  fv1::ProbeFlight& flight = *probe.add_flights();
  flight.set_number(7);
  flight.set_outcome("failure");
  flight.set_output("a\x1b[2J");
  flight.set_streak(2);
  flight.set_changed(true);
  flight.set_lateness_nanos(12'000);
  flight.set_latency_nanos(1'500'000'000);
  flight.mutable_memory()->set_some(3.4);
  std::vector<std::string> row = FlightListing(history).rows.at(0);
  row.erase(row.begin() + 1);  // the time, which is local
  EXPECT_THAT(row, ElementsAre("7", "c", "liveness", "failure*", "2", "12us", "1.50s", "-", "-/3/-", "a\\x1b[2J",
                               "-/0/-", "-", ""));
  EXPECT_EQ(VerdictLines(history), "c liveness: 1 of 1 runs failed\n");

  fv1::ListProbesResponse list;
  fv1::ProbeInfo& info = *list.add_probes();
  info.set_pod("web");
  info.set_action("exec [true]");
  info.set_failure_threshold(3);
  const std::vector<std::string> none = ProbeListing(list, 0).rows.at(0);
  EXPECT_EQ(std::vector<std::string>(none.begin() + 3, none.begin() + 9),
            (std::vector<std::string>{"exec [true]", "-", "-", "0/3", "-", "-"}));
  info.set_failures(2);
  info.set_last_outcome("failure");
  info.set_last_unix_nanos(1'000'000'000);
  info.set_lateness_p99_nanos(2'500'000);
  info.set_latency_p50_nanos(900);
  info.set_latency_p99_nanos(3'000'000'000);
  const std::vector<std::string> known = ProbeListing(list, 6'000'000'000).rows.at(0);
  EXPECT_EQ(std::vector<std::string>(known.begin() + 5, known.begin() + 9),
            (std::vector<std::string>{"failure (5s ago)", "2/3", "2.5ms", "1us / 3.00s"}));
}

TEST(Units, WordsAreWhatTheyWere) {
  EXPECT_EQ(UnitWord("/etc/pod.yaml"), "/etc/pod.yaml");
  EXPECT_EQ(UnitWord("/a b/100%$x"), "\"/a b/100%%$$x\"");
  EXPECT_EQ(UnitWord("q\"\\"), "q\\\"\\\\");
  EXPECT_EQ(UnitWord(""), "\"\"");
}

}  // namespace
}  // namespace fermata::cri::cli
