// Records as the client sees them, and filters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/cri/convert_fixture.h"

namespace fermata::cri {
namespace {

using sandbox::ContainerState;
using sandbox::SandboxState;
using testing::ElementsAre;

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

sandbox::SandboxRecord Pod() {
  sandbox::SandboxRecord record;
  record.id = sandbox::SandboxId(kId);
  record.spec = PodSpec();
  record.spec.labels = {{"app", "web"}, {"tier", "x"}};
  record.spec.annotations = {{"n", "v"}};
  record.spec.runtime_handler = "h";
  record.state = SandboxState::kReady;
  record.created_at_ns = 17;
  record.ips = {"10.0.0.2", "fd00::2", "fd00::3"};
  return record;
}

sandbox::ContainerRecord Container() {
  sandbox::ContainerRecord record;
  record.id = sandbox::ContainerId(kOther);
  record.sandbox = sandbox::SandboxId(kId);
  record.spec.name = "c";
  record.spec.attempt = 3;
  record.spec.image = "busybox";
  record.spec.user_specified_image = "busybox:1";
  record.spec.image_annotations = {{"ia", "1"}};
  record.spec.labels = {{"app", "web"}};
  record.spec.mounts = {
      {.container_path = "/c",
       .host_path = "/h",
       .readonly = true,
       .recursive_readonly = true,
       .selinux_relabel = true},
      {.container_path = "/d", .host_path = "/i", .propagation = sandbox::Propagation::kHostToContainer}};
  record.state = ContainerState::kRunning;
  record.created_at_ns = 1;
  record.started_at_ns = 2;
  record.finished_at_ns = 3;
  record.exit_code = 4;
  record.image_id = "sha256:1";
  record.image_ref = "sha256:2";
  record.stop_signal = SIGQUIT;
  record.launch.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {50000, 1234, 1000}};
  record.log_path = "/var/log/c.log";
  return record;
}

TEST(ConvertStatus, OfASandbox) {
  const v1::PodSandboxStatus status = ToPodSandboxStatus(Pod());
  EXPECT_EQ(status.id(), kId);
  EXPECT_EQ(status.metadata().name() + status.metadata().namespace_() + status.metadata().uid(), "webdefaultu-1");
  EXPECT_EQ(status.metadata().attempt(), 2U);
  EXPECT_EQ(status.state(), v1::SANDBOX_READY);
  EXPECT_EQ(status.created_at(), 17);
  EXPECT_EQ(status.network().ip(), "10.0.0.2");
  ASSERT_EQ(status.network().additional_ips_size(), 2);
  EXPECT_EQ(status.network().additional_ips(1).ip(), "fd00::3");
  EXPECT_EQ(status.labels().at("tier"), "x");
  EXPECT_EQ(status.annotations().at("n"), "v");
  EXPECT_EQ(status.runtime_handler(), "h");
  EXPECT_TRUE(status.linux().namespaces().has_options());
  EXPECT_EQ(ToPodSandbox(Pod()).metadata().name(), "web");
  EXPECT_EQ(ToPodSandbox(Pod()).created_at(), 17);
}

TEST(ConvertStatus, HasNoAddressesOnTheHostsNetworkOrWhenNotReady) {
  sandbox::SandboxRecord record = Pod();
  record.spec.namespaces.network = sandbox::NamespaceMode::kNode;
  EXPECT_EQ(ToPodSandboxStatus(record).network().ip(), "");
  EXPECT_EQ(ToPodSandboxStatus(record).linux().namespaces().options().network(), v1::NODE);
  record = Pod();
  record.state = SandboxState::kNotReady;
  EXPECT_EQ(ToPodSandboxStatus(record).network().ip(), "");
  EXPECT_EQ(ToPodSandboxStatus(record).network().additional_ips_size(), 0);
  EXPECT_EQ(ToPodSandboxStatus(record).state(), v1::SANDBOX_NOTREADY);
}

TEST(ConvertStatus, OfAContainer) {
  const v1::ContainerStatus status = ToContainerStatus(Container());
  EXPECT_EQ(status.id(), kOther);
  EXPECT_EQ(status.metadata().name(), "c");
  EXPECT_EQ(status.metadata().attempt(), 3U);
  EXPECT_EQ(status.image().image(), "busybox");
  EXPECT_EQ(status.image().user_specified_image(), "busybox:1");
  EXPECT_EQ(status.image().annotations().at("ia"), "1");
  EXPECT_EQ(status.image_ref(), "sha256:2");
  EXPECT_EQ(status.image_id(), "sha256:1");
  EXPECT_EQ(status.log_path(), "/var/log/c.log");
  EXPECT_EQ(status.stop_signal(), v1::SIGNAL_SIGQUIT);
  EXPECT_EQ(status.user().linux().uid(), 1000);
  EXPECT_THAT(status.user().linux().supplemental_groups(), ElementsAre(1000, 1234, 50000));
  ASSERT_EQ(status.mounts_size(), 2);
  EXPECT_EQ(status.mounts(0).host_path(), "/h");
  EXPECT_TRUE(status.mounts(0).recursive_read_only() && status.mounts(0).selinux_relabel());
  EXPECT_EQ(status.mounts(1).propagation(), v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_TRUE(status.resources().has_linux());
  const v1::Container item = ToContainer(Container());
  EXPECT_EQ(item.pod_sandbox_id(), kId);
  EXPECT_EQ(item.image_id(), "sha256:1");
  EXPECT_EQ(item.labels().at("app"), "web");
}

struct TimesRow {
  ContainerState state;
  int exit_code;
  std::string reason;
  int64_t started, finished;
  int shown_code;
  std::string shown_reason;
};
TEST(ConvertStatus, TimesAndReasonFollowTheState) {
  const TimesRow rows[] = {
      {ContainerState::kCreated, 0, "", 0, 0, 0, ""},
      {ContainerState::kRunning, 0, "", 2, 0, 0, ""},
      {ContainerState::kExited, 0, "", 2, 3, 0, "Completed"},
      {ContainerState::kExited, 9, "", 2, 3, 9, "Error"},
      {ContainerState::kExited, 137, "OOMKilled", 2, 3, 137, "OOMKilled"},
      {ContainerState::kUnknown, 5, "Unknown", 2, 0, 0, "Unknown"},
  };
  for (const TimesRow& row : rows) {
    sandbox::ContainerRecord record = Container();
    record.state = row.state;
    record.exit_code = row.exit_code;
    record.reason = row.reason;
    const v1::ContainerStatus status = ToContainerStatus(record);
    EXPECT_EQ(static_cast<int>(status.state()), static_cast<int>(row.state));
    EXPECT_EQ(status.created_at(), 1);
    EXPECT_EQ(status.started_at(), row.started);
    EXPECT_EQ(status.finished_at(), row.finished);
    EXPECT_EQ(status.exit_code(), row.shown_code);
    EXPECT_EQ(status.reason(), row.shown_reason);
  }
}

TEST(ConvertStatus, EchoesResourcesAsAsked) {
  v1::ContainerConfig config = GoodContainer();
  v1::LinuxContainerResources& asked = *config.mutable_linux()->mutable_resources();
  asked.set_cpu_period(100000);
  asked.set_cpu_quota(50000);
  asked.set_cpu_shares(100);
  asked.set_memory_limit_in_bytes(1 << 20);
  asked.set_memory_swap_limit_in_bytes(1 << 20);
  asked.set_oom_score_adj(900);
  asked.set_cpuset_cpus("0");
  asked.set_cpuset_mems("0");
  asked.add_hugepage_limits()->set_page_size("2MB");
  (*asked.mutable_unified())["memory.high"] = "5";
  sandbox::ContainerRecord record = Container();
  record.spec = *FromProto(config, PodSpec());
  EXPECT_EQ(ToContainerStatus(record).resources().linux().SerializeAsString(), asked.SerializeAsString());
}

TEST(ConvertStatus, OfAnImage) {
  overlay::Image image;
  image.id = "sha256:1";
  image.repo_tags = {"a:1", "b:2"};
  image.repo_digests = {"a@sha256:9"};
  image.size_bytes = 5;
  image.pinned = true;
  const v1::Image out = ToImage(image);
  EXPECT_EQ(out.id(), "sha256:1");
  EXPECT_THAT(out.repo_tags(), ElementsAre("a:1", "b:2"));
  EXPECT_THAT(out.repo_digests(), ElementsAre("a@sha256:9"));
  EXPECT_EQ(out.size(), 5U);
  EXPECT_TRUE(out.pinned());
  EXPECT_FALSE(out.has_uid());
}

TEST(ConvertStatus, UserOfAnImageIsANumberOrAName) {
  const std::tuple<const char*, int64_t, const char*> rows[] = {
      {"", -1, ""},
      {"1002", 1002, ""},
      {"1003:1004", 1003, ""},
      {"0", 0, ""},
      {"www-data", -1, "www-data"},
      {"www-data:100", -1, "www-data"},
      {"-1", -1, "-1"},
      {"4294967295", -1, "4294967295"},
      {"99999999999999999999", -1, "99999999999999999999"},
      {"5abc", -1, "5abc"},
  };
  for (const auto& [user, uid, name] : rows) {
    overlay::Image image;
    image.config.user = user;
    EXPECT_EQ(ToImage(image).has_uid() ? ToImage(image).uid().value() : -1, uid) << user;
    EXPECT_EQ(ToImage(image).username(), name) << user;
  }
}

struct SandboxFilterRow {
  void (*change)(v1::PodSandboxFilter&);
  bool matches;
};
TEST(ConvertFilter, OfSandboxes) {
  const SandboxFilterRow rows[] = {
      {[](auto&) {}, true},
      {[](auto& f) { f.set_id(kId); }, true},
      {[](auto& f) { f.set_id("aaaa"); }, true},
      {[](auto& f) { f.set_id("ab"); }, false},
      {[](auto& f) { f.mutable_state(); }, true},
      {[](auto& f) { f.mutable_state()->set_state(v1::SANDBOX_NOTREADY); }, false},
      {[](auto& f) { (*f.mutable_label_selector())["app"] = "web"; }, true},
      {[](auto& f) { (*f.mutable_label_selector())["app"] = "db"; }, false},
      {[](auto& f) { (*f.mutable_label_selector())["none"] = ""; }, false},
      {[](auto& f) {
         (*f.mutable_label_selector())["app"] = "web";
         (*f.mutable_label_selector())["tier"] = "y";
       },
       false},
  };
  for (const SandboxFilterRow& row : rows) {
    v1::PodSandboxFilter filter;
    row.change(filter);
    EXPECT_EQ(Matches(filter, Pod()), row.matches) << filter.ShortDebugString();
  }
  sandbox::SandboxRecord intent = Pod();
  intent.state = SandboxState::kCreating;
  EXPECT_FALSE(Matches(v1::PodSandboxFilter(), intent));
}

struct ContainerFilterRow {
  void (*change)(v1::ContainerFilter&);
  bool matches;
};
TEST(ConvertFilter, OfContainers) {
  const ContainerFilterRow rows[] = {
      {[](auto&) {}, true},
      {[](auto& f) { f.set_id("bbb"); }, true},
      {[](auto& f) { f.set_id("aaa"); }, false},
      {[](auto& f) { f.set_pod_sandbox_id("aaa"); }, true},
      {[](auto& f) { f.set_pod_sandbox_id("bbb"); }, false},
      {[](auto& f) { f.mutable_state()->set_state(v1::CONTAINER_RUNNING); }, true},
      {[](auto& f) { f.mutable_state()->set_state(v1::CONTAINER_CREATED); }, false},
      {[](auto& f) { (*f.mutable_label_selector())["app"] = "web"; }, true},
      {[](auto& f) { (*f.mutable_label_selector())["app"] = "we"; }, false},
  };
  for (const ContainerFilterRow& row : rows) {
    v1::ContainerFilter filter;
    row.change(filter);
    EXPECT_EQ(Matches(filter, Container()), row.matches) << filter.ShortDebugString();
  }
}

}  // namespace
}  // namespace fermata::cri
