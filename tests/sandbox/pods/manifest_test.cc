// What a manifest means: accepted ones and the structs they become.
#include "sandbox/pods/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fermata::sandbox::pods {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::vector<PodManifest> Parse(const std::string& yaml) {
  auto pods = ParseManifest(yaml, "pod.yaml");
  EXPECT_TRUE(pods) << pods.error().message() << "\n" << yaml;
  return pods ? *pods : std::vector<PodManifest>(1);
}

// A pod with lines below spec: and one container with lines of its own; both indented by their level.
PodManifest Pod(const std::string& spec, const std::string& container = "") {
  return Parse("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n" + spec +
               "  containers:\n  - name: c\n    image: busybox\n" + container)
      .front();
}
ContainerSpec Container(const std::string& container, const std::string& spec = "") {
  PodManifest pod = Pod(spec, container);
  return pod.containers.empty() ? ContainerSpec() : pod.containers.front().spec;
}

TEST(Manifest, SmallestPodHasKubernetesDefaults) {
  const PodManifest pod = Pod("");
  EXPECT_EQ(pod.sandbox.owner, Owner::kPods);
  EXPECT_EQ(pod.sandbox.name, "web");
  EXPECT_EQ(pod.sandbox.name_space, "default");
  EXPECT_EQ(pod.sandbox.uid, "");
  EXPECT_EQ(pod.sandbox.hostname, "web");
  EXPECT_FALSE(pod.sandbox.privileged);
  EXPECT_EQ(pod.restart_policy, RestartPolicy::kAlways);
  EXPECT_EQ(pod.termination_grace.count(), 30);
  EXPECT_EQ(pod.sandbox.namespaces.pid, NamespaceMode::kContainer);
  ASSERT_EQ(pod.containers.size(), 1U);
  const ContainerSpec& spec = pod.containers[0].spec;
  EXPECT_EQ(spec.image, "busybox");
  EXPECT_THAT(spec.command, IsEmpty());
  EXPECT_EQ(spec.security.seccomp, SeccompMode::kRuntimeDefault);
  EXPECT_FALSE(spec.security.no_new_privileges);
  EXPECT_EQ(spec.security.namespaces.pid, NamespaceMode::kContainer);
  EXPECT_EQ(spec.resources.cpu_shares, 0U);
  EXPECT_FALSE(spec.resources.memory_limit_bytes);
}

TEST(Manifest, ReadsWhatKubectlGeneratesWithDryRun) {
  const auto pods = Parse(R"yaml(apiVersion: v1
kind: Pod
metadata:
  creationTimestamp: null
  labels:
    run: web
  name: web
spec:
  containers:
  - image: nginx
    name: web
    ports:
    - containerPort: 80
    resources: {}
  dnsPolicy: ClusterFirst
  restartPolicy: Always
status: {}
)yaml");
  EXPECT_THAT(pods[0].sandbox.labels, UnorderedElementsAre(Pair("run", "web")));
}

TEST(Manifest, ReadsJsonToo) {
  const auto pods = Parse(
      R"yaml({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"},
          "spec": {"containers": [{"name": "c", "image": "i"}]}})yaml");
  EXPECT_EQ(pods[0].sandbox.name, "j");
}

TEST(Manifest, ReadsAllDocumentsAndSkipsEmptyOnes) {
  const std::string spec = "spec: {containers: [{name: c, image: i}]}\n";
  const auto pods = Parse("---\n# nothing\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n" + spec +
                          "---\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: other}\n" + spec);
  ASSERT_EQ(pods.size(), 2U);
  EXPECT_EQ(pods[1].sandbox.name_space, "other");
}

TEST(Manifest, ReadsMetadata) {
  const auto pods = Parse(R"yaml(apiVersion: v1
kind: Pod
metadata:
  name: a.b
  namespace: ns
  labels: {app.kubernetes.io/name: web, tier: ""}
  annotations: {example.com/Note: "any text"}
spec: {containers: [{name: c, image: i}]}
)yaml");
  EXPECT_EQ(pods[0].sandbox.name_space, "ns");
  EXPECT_THAT(pods[0].sandbox.labels, UnorderedElementsAre(Pair("app.kubernetes.io/name", "web"), Pair("tier", "")));
  EXPECT_THAT(pods[0].sandbox.annotations, UnorderedElementsAre(Pair("example.com/Note", "any text")));
  EXPECT_EQ(pods[0].sandbox.hostname, "a.b");
}

TEST(Manifest, HostNameIsCutAsKubeletCutsIt) {
  const std::string name = std::string(62, 'a') + "-bc";
  const auto pods =
      Parse("apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: c, image: i}]}\n");
  EXPECT_EQ(pods[0].sandbox.hostname, std::string(62, 'a'));
}

struct ModeRow {
  std::string spec;
  NamespaceMode network, pid, ipc;
};
TEST(Manifest, HostFieldsChooseTheNamespaces) {
  constexpr auto kPod = NamespaceMode::kPod, kNode = NamespaceMode::kNode, kOwn = NamespaceMode::kContainer;
  const ModeRow rows[] = {
      {"", kPod, kOwn, kPod},
      {"  hostNetwork: true\n", kNode, kOwn, kPod},
      {"  hostPID: true\n", kPod, kNode, kPod},
      {"  hostIPC: true\n", kPod, kOwn, kNode},
      {"  shareProcessNamespace: true\n", kPod, kPod, kPod},
      {"  hostNetwork: no\n  hostPID: false\n", kPod, kOwn, kPod},
  };
  for (const ModeRow& row : rows) {
    const PodManifest pod = Pod(row.spec);
    for (const NamespaceOptions& options : {pod.sandbox.namespaces, pod.containers[0].spec.security.namespaces}) {
      EXPECT_EQ(options.network, row.network) << row.spec;
      EXPECT_EQ(options.pid, row.pid) << row.spec;
      EXPECT_EQ(options.ipc, row.ipc) << row.spec;
    }
  }
  EXPECT_TRUE(Pod("  shareProcessNamespace: true\n").share_process_namespace);
  EXPECT_EQ(Pod("  hostNetwork: true\n").sandbox.hostname, "");
  EXPECT_EQ(Pod("  hostname: other\n").sandbox.hostname, "other");
}

TEST(Manifest, ReadsLifeCycleFields) {
  EXPECT_EQ(Pod("  restartPolicy: Never\n").restart_policy, RestartPolicy::kNever);
  EXPECT_EQ(Pod("  restartPolicy: OnFailure\n").restart_policy, RestartPolicy::kOnFailure);
  EXPECT_EQ(Pod("  terminationGracePeriodSeconds: 0\n").termination_grace.count(), 0);
  EXPECT_EQ(Pod("  terminationGracePeriodSeconds: null\n").termination_grace.count(), 30);
}

TEST(Manifest, ReadsDnsHostsAndSysctls) {
  const PodManifest pod = Pod(R"yaml(  dnsPolicy: None
  dnsConfig:
    nameservers: [10.0.0.10, "fd00::1"]
    searches: [svc.local]
    options: [{name: ndots, value: "5"}, {name: edns0}]
  hostAliases:
  - {ip: 10.0.0.1, hostnames: [a, b.c]}
  - {ip: 10.0.0.1, hostnames: [d]}
  securityContext:
    sysctls: [{name: net.core.somaxconn, value: "1024"}, {name: kernel.shm_rmid_forced, value: "1"}]
)yaml");
  EXPECT_THAT(pod.sandbox.dns.servers, ElementsAre("10.0.0.10", "fd00::1"));
  EXPECT_THAT(pod.sandbox.dns.searches, ElementsAre("svc.local"));
  EXPECT_THAT(pod.sandbox.dns.options, ElementsAre("ndots:5", "edns0"));
  EXPECT_THAT(pod.sandbox.host_aliases, ElementsAre(Pair("10.0.0.1", ElementsAre("a", "b.c", "d"))));
  EXPECT_EQ(pod.sandbox.sysctls.size(), 2U);
}

TEST(Manifest, ExpandsVariablesInOrder) {
  const ContainerSpec spec = Container(R"yaml(    env:
    - {name: A, value: one}
    - {name: B, value: "$(A)-$(LATER)-$$(A)"}
    - {name: LATER, value: x}
    - {name: EMPTY}
    command: [sh, "-c", "echo $(B) $(NONE) $HOME"]
    args: ["$(LATER)$(EMPTY)"]
    workingDir: /srv
)yaml");
  EXPECT_THAT(spec.env, ElementsAre("A=one", "B=one-$(LATER)-$(A)", "LATER=x", "EMPTY="));
  EXPECT_THAT(spec.command, ElementsAre("sh", "-c", "echo one-$(LATER)-$(A) $(NONE) $HOME"));
  EXPECT_THAT(spec.args, ElementsAre("x"));
  EXPECT_EQ(spec.working_dir, "/srv");
}

TEST(Manifest, ReadsVolumesAndMounts) {
  const PodManifest pod = Pod(R"yaml(  volumes:
  - name: scratch
    emptyDir: {}
  - name: data
    hostPath: {path: /srv/data, type: DirectoryOrCreate}
)yaml",
                              R"yaml(    volumeMounts:
    - {name: data, mountPath: /data, readOnly: true}
    - {name: scratch, mountPath: /tmp/, mountPropagation: None}
)yaml");
  ASSERT_EQ(pod.volumes.size(), 2U);
  EXPECT_EQ(pod.volumes[0].kind, PodVolume::Kind::kEmptyDir);
  EXPECT_EQ(pod.volumes[1].kind, PodVolume::Kind::kHostPath);
  EXPECT_EQ(pod.volumes[1].host_path, "/srv/data");
  EXPECT_EQ(pod.volumes[1].host_path_type, "DirectoryOrCreate");
  const auto& mounts = pod.containers[0].volume_mounts;
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].volume, "data");
  EXPECT_TRUE(mounts[0].readonly);
  EXPECT_EQ(mounts[1].mount_path, "/tmp/");
  EXPECT_FALSE(mounts[1].readonly);
}

TEST(Manifest, AcceptsEveryHostPathType) {
  for (const char* type :
       {"\"\"", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"}) {
    Pod("  volumes: [{name: v, hostPath: {path: /p, type: " + std::string(type) + "}}]\n");
  }
}

struct ResourceRow {
  std::string resources;
  uint64_t shares;
  int64_t quota_us;  // 0: none
  int64_t memory_bytes;
};
TEST(Manifest, ResourcesBecomeWhatKubeletMakesOfThem) {
  const ResourceRow rows[] = {
      {"{}", 0, 0, 0},
      {"{requests: {cpu: 500m}}", 512, 0, 0},
      {"{requests: {cpu: 1}}", 1024, 0, 0},
      {"{requests: {cpu: 0.1}}", 102, 0, 0},
      {"{requests: {cpu: 1m}}", 2, 0, 0},
      {"{requests: {cpu: 0}}", 2, 0, 0},
      {"{requests: {cpu: \"1000\"}}", 262144, 0, 0},
      {"{limits: {cpu: 500m}}", 512, 50000, 0},
      {"{limits: {cpu: 2}, requests: {cpu: 250m}}", 256, 200000, 0},
      {"{limits: {cpu: 1m}}", 2, 1000, 0},
      {"{limits: {cpu: 1n}}", 2, 1000, 0},
      {"{limits: {memory: 64Mi}}", 0, 0, 67108864},
      {"{limits: {memory: 128974848}}", 0, 0, 128974848},
      {"{limits: {memory: 129e6}, requests: {memory: 1M}}", 0, 0, 129000000},
      {"{limits: {memory: 1.5Gi}}", 0, 0, 1610612736},
      {"{requests: {memory: 1Gi}}", 0, 0, 0},
      {"{limits: {memory: 0}}", 0, 0, 0},
  };
  for (const ResourceRow& row : rows) {
    const cgroups::Resources got = Container("    resources: " + row.resources + "\n").resources;
    EXPECT_EQ(got.cpu_shares, row.shares) << row.resources;
    EXPECT_EQ(got.cpu_quota_us.value_or(0), row.quota_us) << row.resources;
    EXPECT_EQ(got.cpu_period_us, row.quota_us == 0 ? 0U : 100000U) << row.resources;
    EXPECT_EQ(got.memory_limit_bytes.value_or(0), row.memory_bytes) << row.resources;
  }
}

TEST(Manifest, ContainerThatAsksForNothingHasLeastSharesBesideOneThatAsks) {
  const PodManifest pod = Pod("", "    resources: {requests: {cpu: 100m}}\n  - {name: d, image: i}\n");
  EXPECT_EQ(pod.containers[0].spec.resources.cpu_shares, 102U);
  EXPECT_EQ(pod.containers[1].spec.resources.cpu_shares, 2U);
}

TEST(Manifest, ReadsTheContainersSecurityContext) {
  const SecurityContext context = Container(R"yaml(    securityContext:
      runAsUser: 1000
      runAsGroup: 2000
      runAsNonRoot: true
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {add: [NET_ADMIN, cap_sys_time], drop: [ALL]}
      seccompProfile: {type: Localhost, localhostProfile: /etc/p.json}
)yaml")
                                      .security;
  EXPECT_EQ(context.run_as_user, 1000);
  EXPECT_EQ(context.run_as_group, 2000);
  EXPECT_TRUE(context.readonly_rootfs);
  EXPECT_TRUE(context.no_new_privileges);
  EXPECT_THAT(context.add_capabilities, ElementsAre("CAP_NET_ADMIN", "CAP_SYS_TIME"));
  EXPECT_THAT(context.drop_capabilities, ElementsAre("ALL"));
  EXPECT_EQ(context.seccomp, SeccompMode::kLocalhost);
  EXPECT_EQ(context.seccomp_profile, "/etc/p.json");
}

TEST(Manifest, ContainersInheritThePodsSecurityContext) {
  const std::string pod =
      "  securityContext: {runAsUser: 5, runAsGroup: 6, supplementalGroups: [7, 8], supplementalGroupsPolicy: Strict, "
      "seccompProfile: {type: Unconfined}}\n";
  const SecurityContext inherited = Container("", pod).security;
  EXPECT_EQ(inherited.run_as_user, 5);
  EXPECT_EQ(inherited.run_as_group, 6);
  EXPECT_THAT(inherited.supplemental_groups, ElementsAre(7, 8));
  EXPECT_TRUE(inherited.strict_groups);
  EXPECT_EQ(inherited.seccomp, SeccompMode::kUnconfined);
  const SecurityContext own =
      Container("    securityContext: {runAsUser: 9, seccompProfile: {type: RuntimeDefault}}\n", pod).security;
  EXPECT_EQ(own.run_as_user, 9);
  EXPECT_EQ(own.run_as_group, 6);
  EXPECT_EQ(own.seccomp, SeccompMode::kRuntimeDefault);
}

TEST(Manifest, PrivilegedContainerMakesThePodPrivilegedAndIsUnconfined) {
  const PodManifest pod = Pod("", "    securityContext: {privileged: true, seccompProfile: {type: RuntimeDefault}}\n");
  EXPECT_TRUE(pod.sandbox.privileged);
  EXPECT_TRUE(pod.containers[0].spec.security.privileged);
  EXPECT_EQ(pod.containers[0].spec.security.seccomp, SeccompMode::kUnconfined);
}

TEST(Manifest, AcceptsValuesThatChangeNothing) {
  for (const char* spec : {"  enableServiceLinks: false\n", "  automountServiceAccountToken: false\n",
                           "  hostUsers: true\n", "  initContainers: null\n", "  dnsPolicy: Default\n"}) {
    Pod(spec);
  }
  for (const char* container :
       {"    tty: false\n", "    stdin: false\n", "    imagePullPolicy: Never\n", "    imagePullPolicy: IfNotPresent\n",
        "    livenessProbe:\n", "    ports: [{containerPort: 53, protocol: UDP, name: dns}]\n"}) {
    Container(container);
  }
}

}  // namespace
}  // namespace fermata::sandbox::pods
