// Controllers on one node, and what of a pod concerns its names and its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/pods/manifest.h"
#include "sandbox/pods/pod_facts.h"

namespace fermata::sandbox::pods {
namespace {

using testing::ElementsAre;

std::vector<PodManifest> Parse(const std::string& yaml) {
  auto pods = ParseManifest(yaml, "p.yaml");
  EXPECT_TRUE(pods) << pods.error().message() << "\n" << yaml;
  return pods ? *pods : std::vector<PodManifest>(1);
}

constexpr const char* kTemplate =
    "  selector: {matchLabels: {app: a}, matchExpressions: [{key: app, operator: In, values: [a, b]}]}\n"
    "  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}\n";

std::vector<std::string> NamesOf(const std::vector<PodManifest>& pods) {
  std::vector<std::string> names;
  for (const PodManifest& pod : pods) names.push_back(pod.sandbox.name);
  return names;
}

TEST(ManifestWorkloads, ReplicasAreNumbered) {
  for (const char* kind : {"Deployment", "ReplicaSet", "StatefulSet"}) {
    const std::string head = std::string("apiVersion: apps/v1\nkind: ") + kind + "\nmetadata: {name: web}\nspec:\n";
    EXPECT_THAT(NamesOf(Parse(head + "  replicas: 2\n" + kTemplate)), ElementsAre("web-0", "web-1")) << kind;
    EXPECT_THAT(NamesOf(Parse(head + kTemplate)), ElementsAre("web-0")) << kind;
  }
  EXPECT_THAT(NamesOf(Parse("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: ns}\nspec:\n" +
                            std::string(kTemplate))),
              ElementsAre("d-0"));
}

TEST(ManifestWorkloads, NoReplicasIsNoPodButIsRead) {
  const std::string head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n";
  const auto none = ParseManifest(head + kTemplate, "p.yaml");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message(), "p.yaml: no pod in it");
  const auto wrong = ParseManifest(head +
                                       "  selector: {matchLabels: {app: a}}\n"
                                       "  template: {metadata: {labels: {app: a}}, spec: {foo: 1}}\n",
                                   "p.yaml");
  EXPECT_NE(wrong.error().message().find("spec.template.spec.foo: unknown field"), std::string::npos);
}

TEST(ManifestWorkloads, AStatefulSetGivesEachPodItsClaimAndName) {
  const auto pods = Parse(
      "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec:\n  replicas: 2\n  serviceName: dbs\n"
      "  volumeClaimTemplates:\n  - metadata: {name: data}\n"
      "    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
      "  selector: {matchLabels: {app: a}}\n"
      "  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i, volumeMounts: "
      "[{name: data, mountPath: /d}]}]}}\n");
  ASSERT_EQ(pods.size(), 2U);
  EXPECT_EQ(pods[1].volumes.at(0).claim, "data-db-1");
  EXPECT_TRUE(pods[1].volumes[0].claim_declared);
  EXPECT_EQ(pods[1].sandbox.hostname, "db-1");
  EXPECT_EQ(pods[1].sandbox.fqdn, "db-1.dbs.default.svc.cluster.local");
  EXPECT_EQ(pods[1].sandbox.labels.at("apps.kubernetes.io/pod-index"), "1");
}

std::string Job(const std::string& fields, const std::string& policy) {
  return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n" + fields +
         "  template: {spec: {restartPolicy: " + policy + ", containers: [{name: c, image: i}]}}\n";
}

TEST(ManifestWorkloads, AJobRunsToItsEnd) {
  const auto pods = Parse(Job("  completions: 2\n  parallelism: 3\n  activeDeadlineSeconds: 9\n", "OnFailure"));
  EXPECT_THAT(NamesOf(pods), ElementsAre("j-0", "j-1"));
  EXPECT_EQ(pods[0].restart_limit, 6);
  EXPECT_EQ(pods[0].active_deadline, std::chrono::seconds(9));
  EXPECT_EQ(pods[0].sandbox.labels.at("job-name"), "j");
  EXPECT_EQ(Parse(Job("  backoffLimit: 0\n", "OnFailure")).at(0).restart_limit, 0);
  EXPECT_FALSE(Parse(Job("", "Never")).at(0).restart_limit);
  const auto indexed = Parse(Job("  completionMode: Indexed\n  completions: 2\n  parallelism: 2\n", "Never"));
  EXPECT_THAT(indexed[1].containers[0].spec.env, ElementsAre("JOB_COMPLETION_INDEX=1"));
}

TEST(ManifestWorkloads, JobsThatWouldNeedAController) {
  const std::pair<std::string, std::string> rows[] = {
      {Job("  completions: 2\n", "Never"), "p.yaml:5: spec.completions: parallelism below completions"},
      {Job("  parallelism: 2\n", "Never"), "p.yaml:5: spec.parallelism: a work queue"},
      {Job("  backoffLimit: 2\n", "Never"), "p.yaml:5: spec.backoffLimit: replacing a failed pod"},
      {Job("  suspend: true\n", "Never"), "p.yaml:5: spec.suspend: not supported yet"},
      {Job("", "Always"), "p.yaml:5: spec.template.spec.restartPolicy: restartPolicy must be OnFailure or Never"},
  };
  for (const auto& [yaml, text] : rows) {
    const auto pods = ParseManifest(yaml, "p.yaml");
    ASSERT_FALSE(pods) << yaml;
    EXPECT_TRUE(pods.error().message().starts_with(text)) << pods.error().message();
  }
}

PodManifest Pod(const std::string& spec) {
  return Parse("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n" + spec +
               "  containers: [{name: c, image: i, lifecycle: {stopSignal: SIGUSR1}, ports: [{containerPort: 80, "
               "hostPort: 8080, hostIP: 127.0.0.1}]}]\n")
      .front();
}

TEST(ManifestWorkloads, NamesDeadlinesPortsAndSignals) {
  const PodManifest pod = Pod("  subdomain: sub\n  hostname: h\n  activeDeadlineSeconds: 5\n");
  EXPECT_EQ(pod.sandbox.fqdn, "h.sub.default.svc.cluster.local");
  EXPECT_EQ(pod.sandbox.hostname, "h");
  EXPECT_EQ(pod.active_deadline, std::chrono::seconds(5));
  EXPECT_EQ(pod.containers[0].spec.stop_signal, 10);
  ASSERT_EQ(pod.sandbox.port_mappings.size(), 1U);
  EXPECT_EQ(pod.sandbox.port_mappings[0].host_port, 8080);
  EXPECT_EQ(pod.sandbox.port_mappings[0].host_ip, "127.0.0.1");
  EXPECT_EQ(Pod("  subdomain: sub\n  setHostnameAsFQDN: true\n").sandbox.hostname, "web.sub.default.svc.cluster.local");
}

TEST(ManifestWorkloads, ADnsConfigAddsToTheHosts) {
  const PodManifest pod =
      Pod("  dnsConfig: {nameservers: [1.1.1.1], searches: [a.b], options: [{name: ndots, value: '1'}]}\n");
  EXPECT_TRUE(pod.sandbox.dns.servers.empty());
  const DnsConfig dns =
      AddedToHosts("# comment\nnameserver 9.9.9.9\nsearch x.y\noptions ndots:5 edns0\n", pod.dns_addition);
  EXPECT_THAT(dns.servers, ElementsAre("9.9.9.9", "1.1.1.1"));
  EXPECT_THAT(dns.searches, ElementsAre("x.y", "a.b"));
  EXPECT_THAT(dns.options, ElementsAre("edns0", "ndots:1"));
}

TEST(ManifestWorkloads, PullSecretsAreOfTheFile) {
  const auto pods = Parse(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: reg}\ntype: kubernetes.io/dockerconfigjson\n"
      "stringData: {.dockerconfigjson: '{\"auths\": {\"r.example\": {\"auth\": \"dTpw\"}}}'}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {imagePullSecrets: [{name: reg}], containers: "
      "[{name: c, image: i}]}\n");
  EXPECT_EQ(pods[0].pull_auths.size(), 1U);
}

}  // namespace
}  // namespace fermata::sandbox::pods
