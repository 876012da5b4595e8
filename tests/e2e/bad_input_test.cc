// Requests that cannot be: each a clear error with the right code, and everything is as before.
#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;

class BadInputTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    pod_ = cri().RunPod("bad");
    runs_ = cri().Run(pod_, Cri::ContainerConfig("runs", {"sleep", "1000"}));
    before_ = daemon().Audit();
  }

  // Only what SetUp made is there, and it works.
  void ExpectAsBefore() {
    ASSERT_EQ(cri().Pods().size(), 1U);
    ASSERT_EQ(cri().Containers().size(), 1U);
    EXPECT_EQ(cri().Pods()[0].state(), v1::SANDBOX_READY);
    EXPECT_EQ(cri().Shell(runs_, "echo alive"), "alive");
    EXPECT_TRUE(daemon().NothingLeakedSince(before_));
  }
  void ExpectCreateFails(const v1::ContainerConfig& config, StatusCode code, const std::string& part) {
    SCOPED_TRACE(part);
    EXPECT_TRUE(Is(cri().TryCreate(pod_, config), code, part));
    ExpectAsBefore();
  }
  // Refused by Create, or by Start; then it has ended with StartError, can be looked at, and be removed.
  void ExpectCannotRun(const v1::ContainerConfig& config, const std::string& part) {
    SCOPED_TRACE(part);
    std::string id;
    const grpc::Status created = cri().TryCreate(pod_, config, &id);
    if (!created.ok()) {
      EXPECT_NE(created.error_message().find(part), std::string::npos) << created.error_message();
      EXPECT_NE(created.error_code(), StatusCode::UNKNOWN) << created.error_message();
      return ExpectAsBefore();
    }
    const grpc::Status started = cri().TryStart(id);
    EXPECT_TRUE(Is(started, StatusCode::INVALID_ARGUMENT, part));
    const v1::ContainerStatus status = cri().Status(id);
    EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
    EXPECT_EQ(status.exit_code(), 128);
    EXPECT_EQ(status.reason(), "StartError");
    EXPECT_FALSE(status.message().empty());
    EXPECT_TRUE(Is(cri().TryStart(id), StatusCode::FAILED_PRECONDITION, id)) << "it was started before";
    EXPECT_TRUE(Ok(cri().Remove(id)));
    ExpectAsBefore();
  }
  v1::ContainerConfig Config(const std::vector<std::string>& command = {"true"}) {
    return Cri::ContainerConfig("c", command);
  }
  static v1::ContainerConfig Mounted(v1::ContainerConfig config, const std::string& host,
                                     const std::string& container) {
    config.add_mounts()->set_host_path(host);
    config.mutable_mounts(config.mounts_size() - 1)->set_container_path(container);
    return config;
  }

  std::string pod_, runs_;
  LeakAudit before_;
};

TEST_F(BadInputTest, AnImageThatIsNotThere) {
  v1::ContainerConfig config = Config();
  config.mutable_image()->set_image("localhost/none:1");
  ExpectCreateFails(config, StatusCode::NOT_FOUND, "localhost/none:1");
  config.mutable_image()->set_image("Not A Reference");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "Not A Reference");
  config.mutable_image()->clear_image();
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "image");
}

TEST_F(BadInputTest, ACommandThatIsNotThereOrNotExecutable) {
  ExpectCannotRun(Config({"no-such-command"}), "no-such-command");
  ExpectCannotRun(Config({"/bin/no-such-path"}), "/bin/no-such-path");
  ExpectCannotRun(Config({"/etc/passwd"}), "/etc/passwd");
  ExpectCannotRun(Config({"/etc"}), "/etc");
  ExpectCannotRun(Config({"/etc/loop"}), "/etc/loop");
}

TEST_F(BadInputTest, AUserThatTheImageDoesNotKnow) {
  v1::ContainerConfig config = Config();
  config.mutable_linux()->mutable_security_context()->set_run_as_username("stranger");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "stranger");
  config.mutable_linux()->mutable_security_context()->set_run_as_username("root:user");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "run_as_username");
  config.mutable_linux()->mutable_security_context()->clear_run_as_username();
  config.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(-1);
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "run_as_user");
}

TEST_F(BadInputTest, CyclicLinksInTheImage) {
  ExpectCannotRun(Mounted(Config(), daemon().base(), "/etc/loop"), "/etc/loop");
  ExpectCannotRun(Mounted(Config(), daemon().base(), "/etc/loop/below"), "/etc/loop");
  v1::ContainerConfig config = Config();
  config.set_working_dir("/etc/loop/below");
  ExpectCannotRun(config, "/etc/loop");
}

TEST_F(BadInputTest, PathsThatLeaveTheRoot) {
  ExpectCreateFails(Mounted(Config(), daemon().base(), "/../../outside"), StatusCode::INVALID_ARGUMENT,
                    "container_path");
  ExpectCreateFails(Mounted(Config(), daemon().base(), "relative"), StatusCode::INVALID_ARGUMENT, "container_path");
  ExpectCreateFails(Mounted(Config(), "relative", "/mnt"), StatusCode::INVALID_ARGUMENT, "host_path");
  ExpectCreateFails(Mounted(Config(), "", "/mnt"), StatusCode::INVALID_ARGUMENT, "host_path");
  v1::ContainerConfig config = Config();
  config.set_working_dir("relative");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "working_dir");
  config = Config();
  config.set_log_path("../../outside.log");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "log_path");
  EXPECT_FALSE(std::filesystem::exists(daemon() / "outside.log"));
}

TEST_F(BadInputTest, AMountSourceThatIsAFileUnderAFile) {
  ExpectCannotRun(Mounted(Config(), daemon() / "config.toml/below", "/mnt"), "config.toml/below");
  ExpectCannotRun(Mounted(Config(), daemon() / "config.toml", "/bin"), "/bin");
}

TEST_F(BadInputTest, AnUnknownCapability) {
  v1::ContainerConfig config = Config();
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_add_capabilities("FLY");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "FLY");
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->clear_add_capabilities();
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_drop_capabilities("CAP_SWIM");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "SWIM");
}

TEST_F(BadInputTest, ASeccompProfileThatIsNone) {
  v1::ContainerConfig config = Config();
  auto& seccomp = *config.mutable_linux()->mutable_security_context()->mutable_seccomp();
  seccomp.set_profile_type(v1::SecurityProfile::Localhost);
  seccomp.set_localhost_ref(daemon() / "profile.json");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "profile.json");  // not there
  struct Case {
    const char* text;
    const char* part;
  };
  for (const Case& one :
       {Case{R"({"defaultAction": "SCMP_ACT_MAYBE"})", "SCMP_ACT_MAYBE"},
        Case{R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "MAYBE"}]})", "MAYBE"},
        Case{"not JSON", "profile.json"}, Case{"{}", "defaultAction"}}) {
    WriteText(daemon() / "profile.json", one.text);
    ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, one.part);
  }
  seccomp.set_localhost_ref("relative.json");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "localhost");
}

TEST_F(BadInputTest, NamesThatAreTaken) {
  v1::PodSandboxConfig pod = cri().PodConfig("bad");
  pod.set_hostname("different");
  EXPECT_TRUE(Is(cri().TryRunPod(pod), StatusCode::ALREADY_EXISTS, pod_));
  std::string id;
  const grpc::Status same = cri().TryRunPod(cri().PodConfig("bad"), &id);
  EXPECT_TRUE((same.ok() && id == pod_) || same.error_code() == StatusCode::ALREADY_EXISTS) << same.error_message();
  ExpectCreateFails(Cri::ContainerConfig("runs", {"true"}), StatusCode::ALREADY_EXISTS, runs_);
  ExpectAsBefore();
  v1::ContainerConfig next = Cri::ContainerConfig("runs", {"true"});
  next.mutable_metadata()->set_attempt(1);
  EXPECT_TRUE(Ok(cri().Remove(cri().Create(pod_, next)))) << "the next attempt is another container";
}

TEST_F(BadInputTest, WhatIsInTheWrongState) {
  EXPECT_TRUE(Is(cri().TryStart(runs_), StatusCode::FAILED_PRECONDITION, runs_));
  ExpectAsBefore();
  const std::string stopped = cri().RunPod("stopped");
  const std::string created = cri().Create(stopped, Config());
  ASSERT_TRUE(Ok(cri().StopPod(stopped)));
  EXPECT_TRUE(
      Is(cri().TryCreate(stopped, Cri::ContainerConfig("late", {"true"})), StatusCode::FAILED_PRECONDITION, stopped));
  EXPECT_TRUE(Is(cri().TryStart(created), StatusCode::FAILED_PRECONDITION, ""));
  EXPECT_FALSE(cri().ReopenLog(created).ok());
  ASSERT_TRUE(Ok(cri().RemovePod(stopped)));
  EXPECT_TRUE(Is(cri().TryCreate(stopped, Config()), StatusCode::NOT_FOUND, stopped));
  EXPECT_TRUE(Is(cri().TryStart(std::string(64, '0')), StatusCode::NOT_FOUND, "0000"));
  ExpectAsBefore();
}

// Makes objects until two ids begin with the same digit; gives that digit.
template <typename Make>
std::string MakeAmbiguous(std::vector<std::string>& ids, const Make& make) {
  for (;;) {
    const std::string id = make(ids.size());
    if (id.empty()) return "";
    for (const std::string& other : ids) {
      if (other[0] != id[0]) continue;
      ids.push_back(id);
      return id.substr(0, 1);
    }
    ids.push_back(id);
  }
}

void ExpectNamesAll(const grpc::Status& status, const std::vector<std::string>& ids, const std::string& prefix) {
  for (const std::string& id : ids) {
    if (!id.starts_with(prefix)) continue;
    EXPECT_TRUE(Is(status, StatusCode::INVALID_ARGUMENT, id));
  }
}

TEST_F(BadInputTest, APrefixThatMatchesTwoIsRefusedAndBothAreNamed) {
  std::vector<std::string> containers = {runs_};
  const std::string prefix = MakeAmbiguous(containers, [&](size_t i) {
    return cri().Create(pod_, Cri::ContainerConfig("c" + std::to_string(i), {"true"}));
  });
  v1::ContainerStatusResponse status;
  ExpectNamesAll(cri().TryStatus(prefix, &status), containers, prefix);
  ExpectNamesAll(cri().Remove(prefix), containers, prefix);
  ExpectNamesAll(cri().Stop(prefix, 0), containers, prefix);
  EXPECT_EQ(cri().Containers().size(), containers.size());
  for (size_t i = 1; i < containers.size(); ++i) EXPECT_TRUE(Ok(cri().Remove(containers[i])));

  std::vector<std::string> pods = {pod_};
  const std::string pod_prefix = MakeAmbiguous(pods, [&](size_t i) { return cri().RunPod("p" + std::to_string(i)); });
  v1::PodSandboxStatusResponse pod_status;
  ExpectNamesAll(cri().TryPodStatus(pod_prefix, &pod_status), pods, pod_prefix);
  ExpectNamesAll(cri().StopPod(pod_prefix), pods, pod_prefix);
  ExpectNamesAll(cri().RemovePod(pod_prefix), pods, pod_prefix);
  EXPECT_EQ(cri().Pods().size(), pods.size());
  for (size_t i = 1; i < pods.size(); ++i) EXPECT_TRUE(Ok(cri().RemovePod(pods[i])));
  EXPECT_EQ(cri().StopPod("").error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(cri().Remove("").error_code(), StatusCode::INVALID_ARGUMENT);
  ExpectAsBefore();
}

TEST_F(BadInputTest, TextsThatTheKernelCannotTake) {
  v1::ContainerConfig config = Config();
  config.add_envs()->set_key("A");
  config.mutable_envs(0)->set_value(std::string("x\0y", 3));
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "envs[0].value");
  config = Config();
  config.add_envs()->set_key("A=B");
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "envs[0].key");
  config = Config({std::string("a\0b", 3)});
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "command[0]");
  config = Config({"true", std::string(size_t{3} << 20, 'x')});
  ExpectCreateFails(config, StatusCode::INVALID_ARGUMENT, "2097152");
}

TEST_F(BadInputTest, WhatIsNotThereYetSaysSo) {
  v1::ContainerConfig config = Config();
  config.add_cdi_devices()->set_name("a/b=c");
  ExpectCreateFails(config, StatusCode::UNIMPLEMENTED, "CDI");
  EXPECT_TRUE(Is(cri().TryRunPod(cri().PodConfig("handler"), nullptr, "kata"), StatusCode::INVALID_ARGUMENT, "kata"));
  ExpectAsBefore();
}

TEST_F(BadInputTest, SandboxesWithoutWhatNamesThem) {
  const char* const parts[] = {"metadata.name", "metadata.uid", "metadata.namespace", "hostname", "log_directory"};
  for (size_t i = 0; i < std::size(parts); ++i) {
    v1::PodSandboxConfig config = cri().PodConfig("unnamed");
    if (i == 0) config.mutable_metadata()->clear_name();
    if (i == 1) config.mutable_metadata()->clear_uid();
    if (i == 2) config.mutable_metadata()->clear_namespace_();
    if (i == 3) config.set_hostname("no_name!");
    if (i == 4) config.set_log_directory("relative");
    EXPECT_TRUE(Is(cri().TryRunPod(config), StatusCode::INVALID_ARGUMENT, parts[i]));
  }
  v1::PodSandboxConfig config = cri().PodConfig("parent");
  config.mutable_linux()->set_cgroup_parent("/../../outside");
  EXPECT_TRUE(Is(cri().TryRunPod(config), StatusCode::INVALID_ARGUMENT, "cgroup_parent"));
  ExpectAsBefore();
}

}  // namespace
}  // namespace fermata::testing
