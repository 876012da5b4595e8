// Golden security contexts: each request beside the whole of what becomes of it.
#include <gtest/gtest.h>

#include "tests/cri/convert_fixture.h"

namespace fermata::cri {
namespace {

using Context = v1::LinuxContainerSecurityContext;

template <typename List>
void Append(std::string& text, const char* name, const List& list) {
  if (list.empty()) return;
  text += std::string(" ") + name + "=";
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) text += ",";
    if constexpr (std::is_same_v<typename List::value_type, std::string>) {
      text += list[i];
    } else {
      text += std::to_string(list[i]);
    }
  }
}

// Everything in it, in one line; what is at its default is left out.
std::string Text(const sandbox::SecurityContext& c) {
  std::string text;
  const std::pair<bool, const char*> flags[] = {{c.privileged, " privileged"},
                                                {c.strict_groups, " strict"},
                                                {c.readonly_rootfs, " ro"},
                                                {c.no_new_privileges, " nnp"}};
  for (const auto& [set, name] : flags) text += set ? name : "";
  for (const auto& [name, mode] :
       {std::pair(" net", c.namespaces.network), {" pid", c.namespaces.pid}, {" ipc", c.namespaces.ipc}}) {
    if (mode != sandbox::NamespaceMode::kPod) text += name + ("=" + std::to_string(static_cast<int>(mode)));
  }
  if (!c.namespaces.target_id.empty()) text += " target=" + c.namespaces.target_id;
  if (c.run_as_user) text += " uid=" + std::to_string(*c.run_as_user);
  if (c.run_as_group) text += " gid=" + std::to_string(*c.run_as_group);
  if (!c.run_as_username.empty()) text += " user=" + c.run_as_username;
  Append(text, "groups", c.supplemental_groups);
  Append(text, "add", c.add_capabilities);
  Append(text, "drop", c.drop_capabilities);
  Append(text, "ambient", c.add_ambient_capabilities);
  Append(text, "masked", c.masked_paths);
  Append(text, "readonly", c.readonly_paths);
  constexpr const char* kSeccomp[] = {" default", " unconfined", " local:"};
  return text + kSeccomp[static_cast<int>(c.seccomp)] + c.seccomp_profile;
}

struct Row {
  void (*change)(Context&);
  const char* golden;  // "!": an error instead
};
constexpr auto kLocal = v1::SecurityProfile::Localhost;
const Row kRows[] = {
    {[](Context&) {}, " unconfined"},
    {[](Context& c) { c.mutable_seccomp(); }, " default"},
    {[](Context& c) { c.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Unconfined); }, " unconfined"},
    {[](Context& c) {
       c.mutable_seccomp()->set_profile_type(kLocal);
       c.mutable_seccomp()->set_localhost_ref("/p.json");
     },
     " local:/p.json"},
    {[](Context& c) { c.mutable_seccomp()->set_profile_type(kLocal); },
     "!seccomp.localhost_ref: localhost profile: empty path"},
    {[](Context& c) {
       c.mutable_seccomp()->set_profile_type(kLocal);
       c.mutable_seccomp()->set_localhost_ref("p.json");
     },
     "!seccomp.localhost_ref: localhost profile: \"p.json\": the path must be absolute"},
    {[](Context& c) { c.mutable_seccomp()->set_profile_type(static_cast<v1::SecurityProfile::ProfileType>(5)); },
     "!seccomp.profile_type: unknown value"},
    {[](Context& c) { c.set_seccomp_profile_path("runtime/default"); }, " default"},
    {[](Context& c) { c.set_seccomp_profile_path("docker/default"); }, " default"},
    {[](Context& c) { c.set_seccomp_profile_path("unconfined"); }, " unconfined"},
    {[](Context& c) { c.set_seccomp_profile_path("localhost//p.json"); }, " local:/p.json"},
    {[](Context& c) { c.set_seccomp_profile_path("localhost/"); },
     "!seccomp_profile_path: localhost profile: empty path"},
    {[](Context& c) { c.set_seccomp_profile_path("default"); },
     "!seccomp_profile_path: \"default\" is none of runtime/default, unconfined and localhost/<path>"},
    {[](Context& c) {
       c.mutable_seccomp();
       c.set_seccomp_profile_path("unconfined");
     },
     " default"},
    {[](Context& c) {
       c.set_readonly_rootfs(true);
       c.set_no_new_privs(true);
     },
     " ro nnp unconfined"},
    {[](Context& c) {
       c.add_masked_paths("/proc/kcore");
       c.add_readonly_paths("/proc/sys");
     },
     " masked=/proc/kcore readonly=/proc/sys unconfined"},
    {[](Context& c) { c.add_masked_paths("proc"); }, "!masked_paths[0]: \"proc\": the path must be absolute"},
    {[](Context& c) {
       c.set_privileged(true);
       c.mutable_seccomp();
       c.add_masked_paths("/proc/kcore");
       c.add_readonly_paths("/proc/sys");
       c.set_no_new_privs(true);
     },
     " privileged nnp unconfined"},
    {[](Context& c) { c.mutable_run_as_user()->set_value(0); }, " uid=0 unconfined"},
    {[](Context& c) {
       c.mutable_run_as_user()->set_value(4294967294);
       c.mutable_run_as_group()->set_value(5);
     },
     " uid=4294967294 gid=5 unconfined"},
    {[](Context& c) { c.mutable_run_as_user()->set_value(4294967295); },
     "!run_as_user: 4294967295 is not in 0..4294967294"},
    {[](Context& c) { c.mutable_run_as_user()->set_value(-1); }, "!run_as_user: -1 is not in 0..4294967294"},
    {[](Context& c) { c.mutable_run_as_group()->set_value(5); },
     "!run_as_group: given without run_as_user or run_as_username"},
    {[](Context& c) {
       c.set_run_as_username("nobody");
       c.mutable_run_as_group()->set_value(5);
     },
     " gid=5 user=nobody unconfined"},
    {[](Context& c) { c.set_run_as_username("a:b"); }, "!run_as_username: \"a:b\" is no user name"},
    {[](Context& c) { c.set_run_as_username("a\nroot::0:0"); }, "!run_as_username: \"a?root::0:0\" is no user name"},
    {[](Context& c) {
       c.set_run_as_username("a");
       c.mutable_run_as_user()->set_value(1);
     },
     "!run_as_username: given beside run_as_user"},
    {[](Context& c) {
       c.add_supplemental_groups(7);
       c.add_supplemental_groups(8);
       c.set_supplemental_groups_policy(v1::Strict);
     },
     " strict groups=7,8 unconfined"},
    {[](Context& c) { c.add_supplemental_groups(-7); }, "!supplemental_groups[0]: -7 is not in 0..4294967294"},
    {[](Context& c) { c.set_supplemental_groups_policy(static_cast<v1::SupplementalGroupsPolicy>(2)); },
     "!supplemental_groups_policy: unknown value"},
    {[](Context& c) {
       for (const char* name : {"NET_ADMIN", "CAP_NET_ADMIN", "net_raw"}) {
         c.mutable_capabilities()->add_add_capabilities(name);
       }
       c.mutable_capabilities()->add_drop_capabilities("all");
       c.mutable_capabilities()->add_add_ambient_capabilities("CHOWN");
     },
     " add=CAP_NET_ADMIN,CAP_NET_RAW drop=ALL ambient=CAP_CHOWN unconfined"},
    {[](Context& c) { c.mutable_capabilities()->add_drop_capabilities("NOPE"); },
     "!capabilities.drop_capabilities[0]: \"NOPE\" is no capability"},
    {[](Context& c) { c.mutable_namespace_options()->set_pid(v1::CONTAINER); }, " pid=1 unconfined"},
    {[](Context& c) { c.mutable_namespace_options()->set_pid(v1::NODE); }, " pid=2 unconfined"},
    {[](Context& c) {
       c.mutable_namespace_options()->set_pid(v1::TARGET);
       c.mutable_namespace_options()->set_target_id("abc");
     },
     " pid=3 target=abc unconfined"},
    {[](Context& c) { c.mutable_namespace_options()->set_pid(v1::TARGET); },
     "!namespace_options.target_id: needed for pid mode TARGET and for no other"},
    {[](Context& c) { c.mutable_namespace_options()->set_target_id("abc"); },
     "!namespace_options.target_id: needed for pid mode TARGET and for no other"},
    {[](Context& c) { c.mutable_namespace_options()->set_network(v1::NODE); }, " unconfined"},
    {[](Context& c) { c.mutable_namespace_options()->set_ipc(v1::TARGET); },
     "!namespace_options.ipc: only POD and NODE are possible; TARGET is for pid"},
    {[](Context& c) { c.mutable_apparmor(); }, " unconfined"},
    {[](Context& c) { c.mutable_apparmor()->set_profile_type(kLocal); },
     "!apparmor: AppArmor profiles are not supported yet"},
    {[](Context& c) { c.set_apparmor_profile("localhost/p"); },
     "!apparmor_profile: AppArmor profiles are not supported yet"},
    {[](Context& c) { c.set_apparmor_profile("runtime/default"); }, " unconfined"},
    {[](Context& c) { c.mutable_selinux_options()->set_type("t"); },
     "!selinux_options: SELinux labels are not supported yet"},
};

TEST(ConvertSecurity, IsGolden) {
  sandbox::SandboxSpec pod = PodSpec();
  pod.privileged = true;
  for (const Row& row : kRows) {
    v1::ContainerConfig config = GoodContainer();
    row.change(Security(config));
    const auto spec = FromProto(config, pod);
    const std::string golden = row.golden;
    if (golden.front() == '!') {
      ASSERT_FALSE(spec) << golden;
      EXPECT_EQ(spec.error().message(), "linux.security_context: " + golden.substr(1));
    } else {
      ASSERT_TRUE(spec) << golden << ": " << spec.error().message();
      EXPECT_EQ(Text(spec->security), golden);
    }
  }
}

TEST(ConvertSecurity, PrivilegedNeedsAPrivilegedSandbox) {
  v1::ContainerConfig config = GoodContainer();
  Security(config).set_privileged(true);
  EXPECT_EQ(Outcome(FromProto(config, PodSpec())),
            "linux.security_context: privileged: the sandbox was not made for privileged containers");
}

TEST(ConvertSecurity, NetworkAndIpcFollowTheSandbox) {
  sandbox::SandboxSpec pod = PodSpec();
  pod.namespaces.network = sandbox::NamespaceMode::kNode;
  pod.namespaces.ipc = sandbox::NamespaceMode::kNode;
  const auto spec = FromProto(GoodContainer(), pod);
  ASSERT_TRUE(spec);
  EXPECT_EQ(Text(spec->security), " net=2 ipc=2 unconfined");
}

}  // namespace
}  // namespace fermata::cri
