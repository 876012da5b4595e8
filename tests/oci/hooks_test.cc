// Hooks: when, where and with what they run, and what their failure undoes.
#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class OciHooks : public OciTest {
 protected:
  // A hook that appends its name, its mount namespace and its standard input to a file.
  Json Recorder(const std::string& name, const std::string& file) {
    const std::string script = "{ echo \"" + name + " $(readlink /proc/self/ns/mnt) $V\"; cat; echo; } >>" + file;
    return {{"path", "/bin/busybox"}, {"args", {"sh", "-c", script}}, {"env", {"V=of-" + name, "PATH=/bin:/usr/bin"}}};
  }
  static Json Script(const std::string& script, int timeout = 0) {
    Json hook = {{"path", "/bin/busybox"}, {"args", {"sh", "-c", script}}};
    if (timeout != 0) hook["timeout"] = timeout;
    return hook;
  }
};

struct Record {
  std::string name, mount_namespace, variable;
  Json state;
};

std::vector<Record> RecordsOf(const std::string& path) {
  std::vector<Record> records;
  std::istringstream lines(Slurp(path));
  for (Record record; lines >> record.name >> record.mount_namespace >> record.variable;) {
    std::string text;
    std::getline(lines >> std::ws, text);
    record.state = Json::parse(text);
    records.push_back(record);
  }
  return records;
}

std::string OwnMountNamespace() { return std::filesystem::read_symlink("/proc/self/ns/mnt"); }

TEST_F(OciHooks, AllSixPointsGetTheStateInTheirNamespaces) {
  // The root is still at its place on the host when createContainer runs, and "/" after it.
  const std::string outside = Path("hooks");
  for (const char* point : {"prestart", "createRuntime", "poststart", "poststop"}) {
    config["hooks"][point].push_back(Recorder(point, outside));
  }
  config["hooks"]["createContainer"].push_back(Recorder("createContainer", Path("bundle/rootfs/tmp/inside")));
  config["hooks"]["startContainer"].push_back(Recorder("startContainer", "/tmp/inside"));
  SetScript("sleep 1000");
  const Outcome created = Create();
  ASSERT_EQ(created.code, 0) << created.err;
  const pid_t pid = PidOf();
  const std::string inside_namespace = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/ns/mnt");
  auto records = RecordsOf(outside);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].name, "prestart");
  EXPECT_EQ(records[1].name, "createRuntime");
  for (const Record& record : records) {
    EXPECT_EQ(record.mount_namespace, OwnMountNamespace());
    EXPECT_EQ(record.variable, "of-" + record.name);
    EXPECT_EQ(record.state.at("id"), "c");
    EXPECT_EQ(record.state.at("pid"), pid);
    EXPECT_EQ(record.state.at("status"), "creating");
    EXPECT_EQ(record.state.at("bundle"), Path("bundle"));
  }
  auto inside = RecordsOf(InRoot("tmp/inside"));
  ASSERT_EQ(inside.size(), 1U);
  EXPECT_EQ(inside[0].mount_namespace, inside_namespace);
  EXPECT_EQ(inside[0].state.at("pid"), pid);

  ASSERT_EQ(Oci({"start", "c"}).code, 0);
  inside = RecordsOf(InRoot("tmp/inside"));
  ASSERT_EQ(inside.size(), 2U);
  EXPECT_EQ(inside[1].name, "startContainer");
  EXPECT_EQ(inside[1].mount_namespace, inside_namespace);
  records = RecordsOf(outside);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[2].name, "poststart");
  EXPECT_EQ(records[2].state.at("status"), "running");

  ASSERT_EQ(Oci({"delete", "--force", "c"}).code, 0);
  records = RecordsOf(outside);
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[3].name, "poststop");
  EXPECT_EQ(records[3].mount_namespace, OwnMountNamespace());
  EXPECT_EQ(records[3].state.at("status"), "stopped");
}

TEST_F(OciHooks, AFailureBeforeTheStartUndoesTheCreate) {
  for (const char* point : {"prestart", "createRuntime", "createContainer"}) {
    config["hooks"] = Json::object();
    config["hooks"][point].push_back(Script("exit 3"));
    const Outcome created = Create();
    EXPECT_EQ(created.code, 1) << point;
    EXPECT_THAT(created.err, HasSubstr(std::string(point) + " hook /bin/busybox"));
    EXPECT_EQ(Oci({"list", "-q"}).out, "");
    EXPECT_TRUE(Look().groups.empty()) << point;
  }
}

TEST_F(OciHooks, AHookThatTakesTooLongIsKilled) {
  for (const char* point : {"createRuntime", "createContainer"}) {
    config["hooks"] = Json::object();
    config["hooks"][point].push_back(Script("exec sleep 1000", 1));
    const Outcome created = Create();
    EXPECT_EQ(created.code, 1) << point;
    EXPECT_THAT(created.err, HasSubstr(std::string(point) + " hook")) << point;
  }
}

TEST_F(OciHooks, AFailureInsideFailsTheStart) {
  config["hooks"]["startContainer"].push_back({{"path", "/bin/busybox"}, {"args", {"false"}}});
  SetScript("sleep 1000");
  ASSERT_EQ(Create().code, 0);
  const Outcome started = Oci({"start", "c"});
  EXPECT_EQ(started.code, 1);
  EXPECT_THAT(started.err, HasSubstr("startContainer hook /bin/busybox"));
  AwaitEnd();
  EXPECT_EQ(StatusOf(), "stopped");
}

TEST_F(OciHooks, AFailureAfterTheStartStopsTheContainer) {
  config["hooks"]["poststart"].push_back(Script("exit 1"));
  SetScript("sleep 1000");
  ASSERT_EQ(Create().code, 0);
  const Outcome started = Oci({"start", "c"});
  EXPECT_EQ(started.code, 1);
  EXPECT_THAT(started.err, HasSubstr("poststart hook"));
  AwaitEnd();
  EXPECT_EQ(StatusOf(), "stopped");
}

TEST_F(OciHooks, AFailureAfterTheEndIsAWarningAndTheOthersRun) {
  config["hooks"]["poststop"] = {Script("exit 1"), Recorder("poststop", Path("hooks"))};
  SetScript("sleep 1000");
  ASSERT_EQ(Create().code, 0);
  const Outcome removed = Oci({"delete", "--force", "c"});
  EXPECT_EQ(removed.code, 0);
  EXPECT_THAT(removed.err, HasSubstr("warning: poststop hook /bin/busybox: ended with status 1"));
  EXPECT_EQ(RecordsOf(Path("hooks")).size(), 1U);
}

TEST_F(OciHooks, APathThatIsRelativeOrMissingIsRefused) {
  config["hooks"]["prestart"].push_back({{"path", "hook"}});
  EXPECT_EQ(Create().code, 1);
  config["hooks"]["prestart"] = Json::array({{{"path", "/no/such/hook"}}});
  EXPECT_THAT(Create().err, HasSubstr("prestart hook /no/such/hook"));
}

}  // namespace
}  // namespace fermata::testing
