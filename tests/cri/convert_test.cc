// Requests: what becomes of them, and which are refused with what text.
#include "cri/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/cri/convert_fixture.h"

namespace fermata::cri {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(ConvertSandbox, KeepsWhatWasAsked) {
  v1::PodSandboxConfig config = GoodSandbox();
  (*config.mutable_labels())["a"] = "b";
  (*config.mutable_annotations())["c"] = "any \"text\"\n";
  (*config.mutable_linux()->mutable_sysctls())["net.core.somaxconn"] = "1024";
  config.mutable_dns_config()->add_servers("10.0.0.10");
  config.mutable_dns_config()->add_searches("svc.local");
  config.mutable_dns_config()->add_options("ndots:5");
  v1::PortMapping* port = config.add_port_mappings();
  port->set_protocol(v1::UDP);
  port->set_container_port(53);
  port->set_host_port(5353);
  port->set_host_ip("127.0.0.1");
  Security(config).mutable_namespace_options()->set_pid(v1::CONTAINER);
  Security(config).mutable_namespace_options()->set_network(v1::POD);
  Security(config).mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
  Security(config).set_privileged(true);
  const auto spec = FromProto(config, "handler");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->owner, sandbox::Owner::kCri);
  EXPECT_EQ(spec->name + spec->uid + spec->name_space, "webu-1default");
  EXPECT_EQ(spec->attempt, 2U);
  EXPECT_EQ(spec->hostname, "web-0");
  EXPECT_EQ(spec->log_directory, "/var/log/pods/default_web_u-1");
  EXPECT_EQ(spec->cgroup_parent, "/kubepods/pod1");
  EXPECT_EQ(spec->runtime_handler, "handler");
  EXPECT_THAT(spec->labels, UnorderedElementsAre(Pair("a", "b")));
  EXPECT_THAT(spec->annotations, UnorderedElementsAre(Pair("c", "any \"text\"\n")));
  EXPECT_THAT(spec->sysctls, UnorderedElementsAre(Pair("net.core.somaxconn", "1024")));
  EXPECT_THAT(spec->dns.servers, ElementsAre("10.0.0.10"));
  EXPECT_THAT(spec->dns.options, ElementsAre("ndots:5"));
  ASSERT_EQ(spec->port_mappings.size(), 1U);
  EXPECT_EQ(spec->port_mappings[0].protocol, 1);
  EXPECT_EQ(spec->port_mappings[0].host_port, 5353);
  EXPECT_EQ(spec->namespaces.pid, sandbox::NamespaceMode::kContainer);
  EXPECT_TRUE(spec->privileged);
}

struct SandboxRow {
  void (*change)(v1::PodSandboxConfig&);
  const char* outcome;
};
const SandboxRow kSandboxRows[] = {
    {[](auto& c) { c.clear_metadata(); }, "metadata: missing"},
    {[](auto& c) { c.mutable_metadata()->clear_name(); }, "metadata.name: empty"},
    {[](auto& c) { c.mutable_metadata()->clear_uid(); }, "metadata.uid: empty"},
    {[](auto& c) { c.mutable_metadata()->clear_namespace_(); }, "metadata.namespace: empty"},
    {[](auto& c) { c.clear_hostname(); }, ""},
    {[](auto& c) { c.set_hostname("a\nnameserver 1.2.3.4"); },
     "hostname: \"a?nameserver 1.2.3.4\" is no host name: only a-z, 0-9, '.' and '-', a letter or digit at both ends"},
    {[](auto& c) { c.set_hostname(std::string(64, 'a')); },
     "hostname: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is longer than 63 bytes"},
    {[](auto& c) { c.set_log_directory("logs"); }, "log_directory: \"logs\": the path must be absolute"},
    {[](auto& c) { c.set_log_directory("/a/../b"); }, "log_directory: \"/a/../b\": a path must not contain \"..\""},
    {[](auto& c) { (*c.mutable_labels())["k"] = std::string("a\0b", 3); }, "labels[0].value: NUL byte in a string"},
    {[](auto& c) { c.mutable_metadata()->set_uid(std::string("\0", 1)); }, "metadata.uid: NUL byte in a string"},
    {[](auto& c) { c.mutable_dns_config()->add_servers("dns.google"); },
     "dns_config: servers[0]: \"dns.google\" is no IP address"},
    {[](auto& c) { c.mutable_dns_config()->add_searches("a b"); },
     "dns_config: searches[0]: \"a b\" is no search domain"},
    {[](auto& c) { c.mutable_dns_config()->add_options("a\n"); },
     "dns_config: options[0]: \"a?\" is no resolver option"},
    {[](auto& c) { c.add_port_mappings()->set_container_port(0); },
     "port_mappings[0]: container_port: 0 is not in 1..65535"},
    {[](auto& c) {
       c.add_port_mappings()->set_container_port(80);
       c.mutable_port_mappings(0)->set_host_port(65536);
     },
     "port_mappings[0]: host_port: 65536 is not in 0..65535"},
    {[](auto& c) {
       c.add_port_mappings()->set_container_port(80);
       c.mutable_port_mappings(0)->set_host_ip("x");
     },
     "port_mappings[0]: host_ip: \"x\" is no IP address"},
    {[](auto& c) {
       c.add_port_mappings()->set_container_port(80);
       c.mutable_port_mappings(0)->set_protocol(static_cast<v1::Protocol>(9));
     },
     "port_mappings[0]: protocol: unknown value"},
    {[](auto& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.core_pattern"] = "|/x"; },
     "linux.sysctls: \"kernel.core_pattern\": not a sysctl of the pod's own namespaces"},
    {[](auto& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.shmmax+kernel.core_pattern"] = "|/x"; },
     "linux.sysctls: \"kernel.shmmax+kernel.core_pattern\" is no name of a sysctl"},
    {[](auto& c) {
       Security(c).mutable_namespace_options()->set_network(v1::NODE);
       (*c.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
     },
     "linux.sysctls: \"net.ipv4.ip_forward\": the pod uses the host's network namespace"},
    {[](auto& c) {
       Security(c).mutable_namespace_options()->set_ipc(v1::NODE);
       (*c.mutable_linux()->mutable_sysctls())["kernel.shmmax"] = "1";
     },
     "linux.sysctls: \"kernel.shmmax\": the pod uses the host's ipc namespace"},
    {[](auto& c) { c.mutable_linux()->set_cgroup_parent("/a/../../b"); },
     "linux.cgroup_parent: \"/a/../../b\": a path must not contain \"..\""},
    {[](auto& c) { c.mutable_linux()->set_cgroup_parent("kubepods.slice"); }, ""},
    {[](auto& c) { c.mutable_windows(); }, "windows: this runtime runs Linux pods only"},
    {[](auto& c) { Security(c).mutable_namespace_options()->set_network(v1::CONTAINER); },
     "linux.security_context: namespace_options.network: the mode is not possible for a sandbox"},
    {[](auto& c) { Security(c).mutable_namespace_options()->set_pid(v1::TARGET); },
     "linux.security_context: namespace_options.pid: the mode is not possible for a sandbox"},
    {[](auto& c) { Security(c).mutable_namespace_options()->set_target_id("x"); },
     "linux.security_context.namespace_options.target_id: only for a container with pid mode TARGET"},
    {[](auto& c) { Security(c).mutable_namespace_options()->mutable_userns_options()->set_mode(v1::NODE); }, ""},
    {[](auto& c) { Security(c).mutable_namespace_options()->mutable_userns_options()->set_mode(v1::CONTAINER); },
     "linux.security_context: userns_options: the mode must be POD, or NODE without mappings"},
    {[](auto& c) { Security(c).mutable_namespace_options()->mutable_userns_options()->add_uids(); },
     "linux.security_context: userns_options: uidMappings: a mapping has the size 0"},
    {[](auto& c) { Security(c).mutable_run_as_group()->set_value(1); },
     "linux.security_context.run_as_group: given without run_as_user"},
    {[](auto& c) { Security(c).mutable_run_as_user()->set_value(-1); },
     "linux.security_context.run_as_user: -1 is not in 0..4294967294"},
    {[](auto& c) { Security(c).mutable_selinux_options()->set_level("s0"); },
     "unimplemented: linux.security_context: selinux_options: SELinux labels are not supported yet"},
    {[](auto& c) { Security(c).mutable_selinux_options(); }, ""},
    {[](auto& c) { Security(c).mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost); },
     "linux.security_context: seccomp.localhost_ref: localhost profile: empty path"},
};

TEST(ConvertSandbox, RefusesNamingTheField) {
  for (const SandboxRow& row : kSandboxRows) {
    v1::PodSandboxConfig config = GoodSandbox();
    row.change(config);
    EXPECT_EQ(Outcome(FromProto(config, "")), row.outcome);
  }
}

TEST(ConvertContainer, KeepsWhatWasAsked) {
  v1::ContainerConfig config = GoodContainer();
  config.mutable_image()->set_user_specified_image("busybox:1");
  config.add_command("sh");
  config.add_args("-c");
  config.set_working_dir("/srv");
  v1::KeyValue* variable = config.add_envs();
  variable->set_key("A");
  variable->set_value("x=y\n\xff");
  v1::Mount* mount = config.add_mounts();
  mount->set_container_path("/data");
  mount->set_host_path("/srv/data");
  mount->set_readonly(true);
  mount->set_recursive_read_only(true);
  mount->set_selinux_relabel(true);
  mount = config.add_mounts();
  mount->set_container_path("/m");
  mount->set_host_path("/m");
  mount->set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
  v1::Device* device = config.add_devices();
  device->set_container_path("/dev/x");
  device->set_host_path("/dev/y");
  device->set_permissions("rw");
  config.set_stdin(true);
  config.set_stdin_once(true);
  config.set_stop_signal(v1::SIGNAL_SIGUSR1);
  config.mutable_linux()->mutable_resources()->set_oom_score_adj(-997);
  const auto spec = FromProto(config, PodSpec());
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->name, "c");
  EXPECT_EQ(spec->attempt, 1U);
  EXPECT_EQ(spec->image, "busybox");
  EXPECT_EQ(spec->user_specified_image, "busybox:1");
  EXPECT_THAT(spec->command, ElementsAre("sh"));
  EXPECT_THAT(spec->args, ElementsAre("-c"));
  EXPECT_THAT(spec->env, ElementsAre("A=x=y\n\xff"));
  EXPECT_EQ(spec->working_dir, "/srv");
  EXPECT_EQ(spec->log_path, "c/1.log");
  ASSERT_EQ(spec->mounts.size(), 2U);
  EXPECT_TRUE(spec->mounts[0].readonly && spec->mounts[0].recursive_readonly && spec->mounts[0].selinux_relabel);
  EXPECT_EQ(spec->mounts[1].propagation, sandbox::Propagation::kBidirectional);
  ASSERT_EQ(spec->devices.size(), 1U);
  EXPECT_EQ(spec->devices[0].permissions, "rw");
  EXPECT_TRUE(spec->want_stdin && spec->stdin_once);
  EXPECT_EQ(spec->stop_signal, SIGUSR1);
  EXPECT_EQ(spec->oom_score_adj, -997);
}

TEST(ConvertContainer, HasNoLogWithoutADirectoryOrAPath) {
  v1::PodSandboxConfig pod = GoodSandbox();
  pod.clear_log_directory();
  EXPECT_EQ(FromProto(GoodContainer(), *FromProto(pod, ""))->log_path, "");
  v1::ContainerConfig config = GoodContainer();
  config.clear_log_path();
  EXPECT_EQ(FromProto(config, PodSpec())->log_path, "");
}

v1::Mount* GoodMount(v1::ContainerConfig& config) {
  v1::Mount* mount = config.add_mounts();
  mount->set_container_path("/c");
  mount->set_host_path("/h");
  return mount;
}
v1::Device* GoodDevice(v1::ContainerConfig& config) {
  v1::Device* device = config.add_devices();
  device->set_container_path("/dev/x");
  device->set_host_path("/dev/x");
  device->set_permissions("r");
  return device;
}

struct ContainerRow {
  void (*change)(v1::ContainerConfig&);
  const char* outcome;
};
const ContainerRow kContainerRows[] = {
    {[](auto& c) { c.clear_metadata(); }, "metadata: missing"},
    {[](auto& c) { c.mutable_metadata()->clear_name(); }, "metadata.name: empty"},
    {[](auto& c) { c.clear_image(); }, "image.image: empty"},
    {[](auto& c) { c.mutable_image()->set_runtime_handler("vm"); },
     "image.runtime_handler: \"vm\" is not the sandbox's"},
    {[](auto& c) { c.add_command(std::string("sh\0x", 4)); }, "command[0]: NUL byte in a string"},
    {[](auto& c) { c.add_envs()->set_value("x"); }, "envs[0].key: a variable needs a name"},
    {[](auto& c) { c.add_envs()->set_key("A=B"); },
     "envs[0].key: \"A=B\": the name of a variable must not contain '=' or NUL"},
    {[](auto& c) {
       c.add_envs()->set_key("A");
       c.mutable_envs(0)->set_value(std::string("\0", 1));
     },
     "envs[0].value: NUL byte in a string"},
    {[](auto& c) { c.add_args(std::string(2097152, 'x')); }, "command, args and envs: 2097153 bytes, at most 2097152"},
    {[](auto& c) { c.set_working_dir("srv"); }, "working_dir: \"srv\": the path must be absolute"},
    {[](auto& c) { c.set_log_path("/etc/passwd"); }, "log_path: \"/etc/passwd\": the path must be relative"},
    {[](auto& c) { c.set_log_path("../x"); }, "log_path: \"../x\": a path must not contain \"..\""},
    {[](auto& c) { c.set_log_path("."); }, "log_path: \".\" names no file"},
    {[](auto& c) { GoodMount(c)->set_container_path("c"); },
     "mounts[0]: container_path: \"c\": the path must be absolute"},
    {[](auto& c) { GoodMount(c)->set_container_path("/a/../../b"); },
     "mounts[0]: container_path: \"/a/../../b\": a path must not contain \"..\""},
    {[](auto& c) { GoodMount(c)->clear_host_path(); }, "mounts[0]: host_path: empty path"},
    {[](auto& c) { GoodMount(c)->set_recursive_read_only(true); }, "mounts[0]: recursive_read_only: needs readonly"},
    {[](auto& c) {
       GoodMount(c)->set_recursive_read_only(true);
       c.mutable_mounts(0)->set_readonly(true);
       c.mutable_mounts(0)->set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
     },
     "mounts[0]: recursive_read_only: needs propagation PROPAGATION_PRIVATE"},
    {[](auto& c) { GoodMount(c)->set_propagation(static_cast<v1::MountPropagation>(7)); },
     "mounts[0]: propagation: unknown value"},
    {[](auto& c) { GoodMount(c)->mutable_image()->set_image("x"); }, "mounts[0]: host_path: given beside image"},
    {[](auto& c) { GoodMount(c)->mutable_image(); }, ""},
    {[](auto& c) { GoodMount(c)->set_image_sub_path("x"); }, "mounts[0]: image_sub_path: given without image"},
    {[](auto& c) { GoodMount(c)->add_mount_options("exec"); },
     "mounts[0]: mount_options[0]: \"exec\" is none of noexec, nodev and nosuid"},
    {[](auto& c) { GoodMount(c)->add_uidmappings(); }, "mounts[0]: uidMappings: a mapping has the size 0"},
    {[](auto& c) { GoodDevice(c)->set_permissions("rx"); },
     "devices[0]: permissions: \"rx\" is not one or more of r, w and m"},
    {[](auto& c) { GoodDevice(c)->clear_permissions(); },
     "devices[0]: permissions: \"\" is not one or more of r, w and m"},
    {[](auto& c) { GoodDevice(c)->set_host_path("x"); }, "devices[0]: host_path: \"x\": the path must be absolute"},
    {[](auto& c) { c.add_cdi_devices()->set_name("vendor.com/x=1"); },
     "unimplemented: CDI_devices: CDI devices are not supported yet"},
    {[](auto& c) { c.set_stop_signal(static_cast<v1::Signal>(99)); }, "stop_signal: unknown value"},
    {[](auto& c) { c.mutable_windows(); }, "windows: this runtime runs Linux containers only"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_quota(-2); },
     "linux.resources: cpu_quota: -2 is out of range"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_period(10); },
     "linux.resources: cpu_period: 10 is out of range"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_shares(-1); },
     "linux.resources: cpu_shares: -1 is out of range"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(-2); },
     "linux.resources: memory_limit_in_bytes: -2 is out of range"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_oom_score_adj(1001); },
     "linux.resources: oom_score_adj: 1001 is out of range"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_cpuset_cpus("0\n1"); },
     "linux.resources: cpuset_cpus: \"0?1\" is no list like 0-3,7"},
    {[](auto& c) { c.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(5); },
     "linux.resources: swap limit: needs a memory limit, because it counts both"},
    {[](auto& c) { (*c.mutable_linux()->mutable_resources()->mutable_unified())["../x"] = "1"; },
     "linux.resources: unified: \"../x\" is no name like memory.high"},
    {[](auto& c) {
       c.mutable_linux()->mutable_resources()->add_hugepage_limits()->set_page_size("2MB");
       c.mutable_linux()->mutable_resources()->add_hugepage_limits()->set_page_size("2MB");
     },
     "linux.resources: hugepage_limits: \"2MB\" is given twice"},
};

TEST(ConvertContainer, RefusesNamingTheField) {
  for (const ContainerRow& row : kContainerRows) {
    v1::ContainerConfig config = GoodContainer();
    row.change(config);
    EXPECT_EQ(Outcome(FromProto(config, PodSpec())), row.outcome);
  }
}

TEST(ConvertResources, ZeroIsNotAskedFor) {
  const auto none = FromProto(v1::LinuxContainerResources());
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->cpu_quota_us || none->memory_limit_bytes || none->swap_limit_bytes || none->pids_limit);
  EXPECT_EQ(none->cpu_shares + none->cpu_period_us, 0U);
  EXPECT_FALSE(*OomScoreAdj(v1::LinuxContainerResources()));
}

TEST(ConvertResources, TakesAllOfThem) {
  v1::LinuxContainerResources in;
  in.set_cpu_period(100000);
  in.set_cpu_quota(-1);
  in.set_cpu_shares(512);
  in.set_memory_limit_in_bytes(1 << 20);
  in.set_memory_swap_limit_in_bytes(-1);
  in.set_oom_score_adj(7);
  in.set_cpuset_cpus("0-3,7");
  in.set_cpuset_mems("0");
  (*in.mutable_unified())["memory.oom.group"] = "1";
  in.add_hugepage_limits()->set_page_size("2MB");
  in.mutable_hugepage_limits(0)->set_limit(4096);
  const auto out = FromProto(in);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->cpu_period_us, 100000U);
  EXPECT_EQ(out->cpu_quota_us, -1);
  EXPECT_EQ(out->cpu_shares, 512U);
  EXPECT_EQ(out->memory_limit_bytes, 1 << 20);
  EXPECT_EQ(out->swap_limit_bytes, -1);
  EXPECT_EQ(out->cpuset_cpus, "0-3,7");
  EXPECT_THAT(out->hugepage_limits, ElementsAre(Pair("2MB", 4096U)));
  EXPECT_THAT(out->unified, ElementsAre(Pair("memory.oom.group", "1")));
  EXPECT_EQ(**OomScoreAdj(in), 7);
}

TEST(ConvertSignal, EveryNameHasItsNumberAndBack) {
  for (int i = 0; i <= v1::Signal_MAX; ++i) {
    const auto signal = static_cast<v1::Signal>(i);
    const auto number = SignalNumber(signal);
    ASSERT_TRUE(number) << v1::Signal_Name(signal);
    EXPECT_EQ(SignalNumber(ToSignal(*number)), number) << v1::Signal_Name(signal);
  }
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMIN), SIGRTMIN);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMINPLUS15), SIGRTMIN + 15);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMAXMINUS14), SIGRTMAX - 14);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGRTMAX), SIGRTMAX);
  EXPECT_EQ(SignalNumber(v1::SIGNAL_SIGCLD), SIGCHLD);
  EXPECT_EQ(ToSignal(SIGTERM), v1::SIGNAL_SIGTERM);
  EXPECT_EQ(ToSignal(0), v1::SIGNAL_RUNTIME_DEFAULT);
}

}  // namespace
}  // namespace fermata::cri
