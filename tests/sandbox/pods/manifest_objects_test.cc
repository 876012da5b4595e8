// ConfigMaps, Secrets and claims: what variables and volumes take from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/pods/manifest.h"
#include "sandbox/pods/manifest_values.h"

namespace fermata::sandbox::pods {
namespace {

using testing::ElementsAre;

constexpr const char* kObjects =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n"
    "data: {a: '1', b: two}\nbinaryData: {bin: AP8=}\n---\n"
    "apiVersion: v1\nkind: Secret\nmetadata: {name: sec}\n"
    "data: {password: aHVzaA==, over: YQ==}\nstringData: {plain: text, over: b}\n---\n"
    "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: pvc}\n"
    "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n";

// One pod with lines below spec and lines of its only container.
std::vector<PodManifest> Parse(const std::string& spec, const std::string& container) {
  const std::string yaml =
      std::string(kObjects) +
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: x}, annotations: {n: \"a\\\"b\"}}\n"
      "spec:\n" +
      spec + "  containers:\n  - name: c\n    image: i\n" + container;
  auto pods = ParseManifest(yaml, "pod.yaml");
  EXPECT_TRUE(pods) << pods.error().message() << "\n" << yaml;
  return pods ? *pods : std::vector<PodManifest>(1);
}

ContainerSpec Running(const std::string& container) {
  const PodManifest pod = Parse("", container).front();
  PodFacts facts;
  facts.uid = "u";
  facts.node_name = "node";
  facts.pod_ips = {"10.0.0.2", "fd00::2"};
  facts.host_ips = {"192.0.2.7"};
  facts.node_milli_cpu = 4000;
  facts.node_memory_bytes = int64_t{1} << 30;
  ContainerSpec out;
  ProcessPlace place;
  EXPECT_TRUE(FillProcess(
      pod.containers.at(0), [&](const ValueSource& source) { return ValueOf(source, pod, facts); }, out, place));
  return out;
}

TEST(ManifestObjects, VariablesComeFromConfigMapsAndSecrets) {
  const ContainerSpec spec = Running(
      "    env:\n"
      "    - {name: A, valueFrom: {configMapKeyRef: {name: cm, key: a}}}\n"
      "    - {name: P, valueFrom: {secretKeyRef: {name: sec, key: password}}}\n"
      "    - {name: O, valueFrom: {secretKeyRef: {name: sec, key: over}}}\n"
      "    - {name: NONE, valueFrom: {secretKeyRef: {name: none, key: x, optional: true}}}\n"
      "    - {name: M, valueFrom: {configMapKeyRef: {name: cm, key: x, optional: true}}}\n"
      "    - {name: E, value: '$(A)-$(P)-$(NONE)'}\n"
      "    command: [run, '$(E)']\n");
  EXPECT_THAT(spec.env, ElementsAre("A=1", "P=hush", "O=b", "E=1-hush-$(NONE)"));
  EXPECT_THAT(spec.command, ElementsAre("run", "1-hush-$(NONE)"));
}

TEST(ManifestObjects, EnvFromComesFirstAndIsNotExpanded) {
  const ContainerSpec spec = Running(
      "    envFrom: [{prefix: X_, configMapRef: {name: other, optional: true}}, {prefix: S_, secretRef: {name: sec}}]\n"
      "    env: [{name: T, value: '$(S_plain)'}]\n");
  EXPECT_THAT(spec.env, ElementsAre("S_over=b", "S_password=hush", "S_plain=text", "T=text"));
}

TEST(ManifestObjects, FieldsOfTheRunningPod) {
  const ContainerSpec spec = Running(
      "    env:\n"
      "    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n"
      "    - {name: NS, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}}\n"
      "    - {name: ID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}\n"
      "    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}\n"
      "    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: \"metadata.annotations['n']\"}}}\n"
      "    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}\n"
      "    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n"
      "    - {name: IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}\n"
      "    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}\n"
      "    - {name: URL, value: 'http://$(IP)/'}\n");
  EXPECT_THAT(spec.env, ElementsAre("NAME=web", "NS=default", "ID=u", "LABEL=x", "NOTE=a\"b", "NODE=node",
                                    "IP=10.0.0.2", "IPS=10.0.0.2,fd00::2", "HOST=192.0.2.7", "URL=http://10.0.0.2/"));
}

TEST(ManifestObjects, ResourcesInTheirUnits) {
  const ContainerSpec spec = Running(
      "    resources: {limits: {cpu: 1500m}, requests: {memory: 100M}}\n"
      "    env:\n"
      "    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}\n"
      "    - {name: MILLI, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}\n"
      "    - {name: MEM, valueFrom: {resourceFieldRef: {resource: requests.memory, divisor: 1Mi}}}\n"
      "    - {name: NODE, valueFrom: {resourceFieldRef: {containerName: c, resource: limits.memory}}}\n");
  EXPECT_THAT(spec.env, ElementsAre("CPU=2", "MILLI=1500", "MEM=96", "NODE=1073741824"));
}

std::string Text(const PodVolume& volume, const PodManifest& pod) {
  std::string text;
  for (const VolumeFile& file : volume.files) {
    text += file.path + "=" + ValueOf(file.value, pod, {}) + (file.mode ? " m" : "") + ";";
  }
  return text;
}

TEST(ManifestObjects, VolumesOfFiles) {
  const PodManifest pod =
      Parse(
          "  volumes:\n"
          "  - {name: all, secret: {secretName: sec, defaultMode: 0400}}\n"
          "  - {name: some, configMap: {name: cm, items: [{key: a, path: d/a.txt, mode: 0444}]}}\n"
          "  - {name: none, configMap: {name: nothing, optional: true}}\n"
          "  - name: mix\n"
          "    projected:\n"
          "      defaultMode: 288\n"
          "      sources:\n"
          "      - {configMap: {name: cm, items: [{key: b, path: b}]}}\n"
          "      - {secret: {name: sec, items: [{key: password, path: p}, {key: x, path: q}], optional: true}}\n"
          "      - {downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}}\n"
          "  - {name: down, downwardAPI: {items: [{path: notes, fieldRef: {fieldPath: metadata.annotations}}]}}\n"
          "  - {name: keep, persistentVolumeClaim: {claimName: pvc}}\n"
          "  - {name: ram, emptyDir: {medium: Memory, sizeLimit: 8Mi}}\n",
          "")
          .front();
  ASSERT_EQ(pod.volumes.size(), 7U);
  EXPECT_EQ(Text(pod.volumes[0], pod), "over=b;password=hush;plain=text;");
  EXPECT_EQ(pod.volumes[0].default_mode, 0400U);
  EXPECT_EQ(Text(pod.volumes[1], pod), "d/a.txt=1 m;");
  EXPECT_EQ(*pod.volumes[1].files[0].mode, 0444U);
  EXPECT_EQ(Text(pod.volumes[2], pod), "");
  EXPECT_EQ(Text(pod.volumes[3], pod), "b=two;p=hush;l=app=\"x\";");
  EXPECT_EQ(pod.volumes[3].default_mode, 0440U);
  EXPECT_EQ(Text(pod.volumes[4], pod), "notes=n=\"a\\\"b\";");
  EXPECT_EQ(pod.volumes[5].kind, PodVolume::Kind::kClaim);
  EXPECT_TRUE(pod.volumes[5].claim_declared);
  EXPECT_TRUE(pod.volumes[6].memory);
  EXPECT_EQ(pod.volumes[6].limit_bytes, 8 << 20);
}

TEST(ManifestObjects, ASecretStandsInNoError) {
  const auto pods = ParseManifest(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/dockerconfigjson\n"
      "stringData: {.dockerconfigjson: hush-hush}\ndata: {b: '!!hush', c: [hush]}\n",
      "p.yaml");
  ASSERT_FALSE(pods);
  EXPECT_EQ(pods.error().message().find("hush"), std::string::npos) << pods.error().message();
}

TEST(ManifestObjects, DocumentsMayStandInAnyOrderAndInLists) {
  const auto pods = ParseManifest(
      "apiVersion: v1\nkind: List\nitems:\n"
      "- {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, env: "
      "[{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}]}}\n"
      "- {apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {k: v}}\n",
      "p.yaml");
  ASSERT_TRUE(pods) << pods.error().message();
  EXPECT_THAT(pods->at(0).containers.at(0).spec.env, ElementsAre("A=v"));
}

TEST(ManifestObjects, WhatIsIgnoredIsTold) {
  const std::string yaml =
      "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  nodeSelector: {a: b}\n"
      "  containers: [{name: c, image: i, tty: true}]\n";
  std::vector<std::string> ignored;
  ASSERT_TRUE(ParseManifest(yaml, "p.yaml", {true, &ignored}));
  EXPECT_THAT(ignored, ElementsAre("p.yaml:2: kind: \"Service\" is ignored", "p.yaml:9: spec.nodeSelector: ignored",
                                   "p.yaml:10: spec.containers[0].tty: ignored"));
  EXPECT_FALSE(ParseManifest(yaml, "p.yaml"));
}

}  // namespace
}  // namespace fermata::sandbox::pods
