// The directory of manifests: files that come, change, break and go, also while no daemon is there.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class PodsDirTest : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(daemon() / "conf.d");
    std::filesystem::remove_all(Dir());
    std::filesystem::create_directories(Dir());
    WriteText(daemon() / "conf.d/pods.toml", "[pods]\ndir = \"" + Dir() + "\"\n");
    Again();
  }
  void TearDown() override {
    if (!IsSkipped()) {
      std::filesystem::remove(daemon() / "conf.d/pods.toml");
      Again();
      std::filesystem::remove(daemon().data_dir() + "/manifests.json");
    }
    CliTest::TearDown();
  }
  void Again() {
    daemon().Kill9();
    ASSERT_TRUE(daemon().Restart());
  }
  std::string Dir() { return daemon() / "pods.d"; }
  // As an editor does it: a file beside it, and a rename.
  void Put(const std::string& name, const std::string& text) {
    WriteText(Dir() + "/." + name, text);
    std::filesystem::rename(Dir() + "/." + name, Dir() + "/" + name);
  }
  std::string Names() { return Output({"pods", "--format", "{{.Name}}"}); }
  std::string IdOf(const std::string& name) {
    for (const Json& pod : Pods()) {
      if (pod.at("name") == name) return pod.at("id");
    }
    return "";
  }
};

std::string Sleeper(const std::string& name, const std::string& seconds = "1000") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         "}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    image: " + kBusyboxImage +
         "\n    command: [sleep, \"" + seconds + "\"]\n";
}

TEST_F(PodsDirTest, AFileIsAddedChangedAndRemoved) {
  Put("web.yaml", Sleeper("web"));
  ASSERT_TRUE(WaitUntil([&] { return Names() == "web\n"; }));
  const std::string id = IdOf("web");
  EXPECT_THAT(Output({"describe", "web"}), HasSubstr("web.yaml\n"));
  Put("web.yaml", "# the same\n" + Sleeper("web"));
  Put("more.yml", Sleeper("more"));
  ASSERT_TRUE(WaitUntil([&] { return IdOf("more") != ""; }));
  EXPECT_EQ(IdOf("web"), id) << "files come in their order, and that one said nothing new";
  WriteText(Dir() + "/web.yaml", Sleeper("web", "1001"));
  ASSERT_TRUE(WaitUntil([&] { return IdOf("web") != id && IdOf("web") != ""; }));
  Put("web.yaml", Sleeper("other"));
  ASSERT_TRUE(WaitUntil([&] { return IdOf("other") != "" && IdOf("web") == ""; }));
  std::filesystem::remove(Dir() + "/web.yaml");
  std::filesystem::rename(Dir() + "/more.yml", Dir() + "/more.off");
  ASSERT_TRUE(WaitUntil([&] { return Names().empty(); }));
}

TEST_F(PodsDirTest, ABrokenFileChangesNothingAndIsShown) {
  Put("web.yaml", Sleeper("web"));
  ASSERT_TRUE(WaitUntil([&] { return Names() == "web\n"; }));
  const std::string id = IdOf("web");
  Put("web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {contianers: []}\n");
  ASSERT_TRUE(
      WaitUntil([&] { return Fermata({"pods"}).err.find("web.yaml counts for nothing") != std::string::npos; }));
  EXPECT_EQ(IdOf("web"), id);
  EXPECT_THAT(Output({"info"}), HasSubstr("contianers"));
  EXPECT_THAT(daemon().Log(), HasSubstr("contianers"));
  Put("twice.yaml", Sleeper("web"));
  ASSERT_TRUE(WaitUntil([&] { return Fermata({"pods"}).err.find("twice.yaml") != std::string::npos; }));
  EXPECT_THAT(Fermata({"pods"}).err, HasSubstr("already"));
  Put("web.yaml", Sleeper("web"));
  ASSERT_TRUE(WaitUntil([&] { return Fermata({"pods"}).err.find("/web.yaml counts") == std::string::npos; }));
  EXPECT_EQ(IdOf("web"), id);
}

TEST_F(PodsDirTest, APodOfSomebodyElseIsNotTaken) {
  Output({"run", "-d", "-"}, Sleeper("mine"));
  const std::string id = IdOf("mine");
  Put("mine.yaml", Sleeper("mine", "5"));
  ASSERT_TRUE(WaitUntil([&] { return Fermata({"pods"}).err.find("exists already, and not by") != std::string::npos; }));
  std::filesystem::remove(Dir() + "/mine.yaml");
  ASSERT_TRUE(WaitUntil([&] { return Fermata({"pods"}).err.empty(); }));
  EXPECT_EQ(IdOf("mine"), id);
}

TEST_F(PodsDirTest, ADaemonThatComesBackDoesWhatWasMissed) {
  Put("stays.yaml", Sleeper("stays"));
  Put("goes.yaml", Sleeper("goes"));
  Put("changes.yaml", Sleeper("changes"));
  ASSERT_TRUE(WaitUntil([&] { return Pods().size() == 3; }));
  const std::string stays = IdOf("stays");
  const std::string changes = IdOf("changes");
  daemon().Kill9();
  std::filesystem::remove(Dir() + "/goes.yaml");
  Put("changes.yaml", Sleeper("changes", "1001"));
  Put("comes.yaml", Sleeper("comes"));
  ASSERT_TRUE(daemon().Restart());
  ASSERT_TRUE(WaitUntil([&] {
    return IdOf("goes") == "" && IdOf("comes") != "" && IdOf("changes") != "" && IdOf("changes") != changes;
  }));
  EXPECT_EQ(IdOf("stays"), stays);
}

}  // namespace
}  // namespace fermata::testing
