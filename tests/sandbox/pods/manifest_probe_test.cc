// Probes, hooks and init containers of a manifest: accepted ones and the structs they become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/pods/manifest.h"

namespace fermata::sandbox::pods {
namespace {

using testing::ElementsAre;
using testing::Pair;

PodManifest Pod(const std::string& container, const std::string& spec = "") {
  const std::string yaml = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n" + spec +
                           "  containers:\n  - name: c\n    image: busybox\n" + container;
  auto pods = ParseManifest(yaml, "pod.yaml");
  EXPECT_TRUE(pods) << pods.error().message() << "\n" << yaml;
  return pods ? pods->front() : PodManifest{.containers = std::vector<PodContainer>(1)};
}

// prober.md, section 1.
TEST(ManifestProbe, S1_DefaultsAreKubernetes) {
  const auto probes = Pod(R"yaml(    readinessProbe: {httpGet: {port: 80}}
    livenessProbe: {tcpSocket: {port: 81}, periodSeconds: 0, timeoutSeconds: 0, successThreshold: 0}
)yaml")
                          .containers[0]
                          .probes;
  ASSERT_TRUE(probes.readiness && probes.liveness && !probes.startup);
  for (const probe::ProbeSpec& spec : {*probes.readiness, *probes.liveness}) {
    EXPECT_EQ(spec.initial_delay.count(), 0);
    EXPECT_EQ(spec.period.count(), 10);
    EXPECT_EQ(spec.timeout.count(), 1);
    EXPECT_EQ(spec.success_threshold, 1);
    EXPECT_EQ(spec.failure_threshold, 3);
    EXPECT_FALSE(spec.termination_grace);
  }
  const auto& http = std::get<probe::HttpAction>(probes.readiness->action);
  EXPECT_EQ(http.path, "/");
  EXPECT_EQ(http.port, 80);
  EXPECT_FALSE(http.https);
  EXPECT_EQ(std::get<probe::TcpAction>(probes.liveness->action).port, 81);
}

TEST(ManifestProbe, S1_EveryFieldIsRead) {
  const auto probes = Pod(R"yaml(    startupProbe:
      grpc: {port: 9000, service: live}
      initialDelaySeconds: 1
      periodSeconds: 2
      timeoutSeconds: 3
      failureThreshold: 4
      terminationGracePeriodSeconds: 5
    readinessProbe:
      successThreshold: 6
      httpGet:
        host: example.com
        port: web
        path: healthz?full=1
        scheme: HTTPS
        httpHeaders: [{name: Host, value: a.b}, {name: X-A, value: ""}]
    ports: [{containerPort: 8080, name: web}]
)yaml")
                          .containers[0]
                          .probes;
  const probe::ProbeSpec& startup = *probes.startup;
  EXPECT_EQ(std::get<probe::GrpcAction>(startup.action).service, "live");
  EXPECT_EQ(startup.initial_delay.count(), 1);
  EXPECT_EQ(startup.period.count(), 2);
  EXPECT_EQ(startup.timeout.count(), 3);
  EXPECT_EQ(startup.failure_threshold, 4);
  EXPECT_EQ(startup.termination_grace->count(), 5);
  const auto& http = std::get<probe::HttpAction>(probes.readiness->action);
  EXPECT_EQ(probes.readiness->success_threshold, 6);
  EXPECT_EQ(http.host, "example.com");
  EXPECT_EQ(http.port, 8080);
  EXPECT_EQ(http.path, "/healthz?full=1");
  EXPECT_TRUE(http.https);
  EXPECT_THAT(http.headers, ElementsAre(Pair("Host", "a.b"), Pair("X-A", "")));
}

// prober.md, section 3: from the values as they are written.
TEST(ManifestProbe, S3_CommandsOfProbesAreExpandedAndThoseOfHooksAreNot) {
  const auto probes = Pod(R"yaml(    env: [{name: A, value: one}, {name: B, value: $(A)}]
    livenessProbe: {exec: {command: [t, "$(A)", "$(B)", "$(C)"]}}
    lifecycle: {preStop: {exec: {command: [p, "$(A)"]}}, postStart: {sleep: {seconds: 3}}}
)yaml")
                          .containers[0]
                          .probes;
  EXPECT_THAT(std::get<probe::ExecAction>(probes.liveness->action).command, ElementsAre("t", "one", "$(A)", "$(C)"));
  EXPECT_THAT(std::get<probe::ExecAction>(*probes.pre_stop).command, ElementsAre("p", "$(A)"));
  EXPECT_EQ(std::get<probe::SleepAction>(*probes.post_start).time.count(), 3);
}

TEST(ManifestProbe, ReadsInitContainersAndSidecars) {
  const PodManifest pod = Pod("    restartPolicy: Never\n", R"yaml(  initContainers:
  - {name: first, image: i}
  - {name: proxy, image: i, restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}, lifecycle: {preStop: {sleep: {seconds: 1}}}}
)yaml");
  ASSERT_EQ(pod.init_containers.size(), 2U);
  EXPECT_FALSE(pod.init_containers[0].restart_policy);
  EXPECT_EQ(pod.init_containers[1].restart_policy, RestartPolicy::kAlways);
  EXPECT_TRUE(pod.init_containers[1].probes.startup);
  EXPECT_TRUE(pod.init_containers[1].probes.pre_stop);
  EXPECT_EQ(pod.containers[0].restart_policy, RestartPolicy::kNever);
}

}  // namespace
}  // namespace fermata::sandbox::pods
