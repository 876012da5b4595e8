// Wrong manifests: the line and the path of every error, all at once.
#include <gtest/gtest.h>

#include "sandbox/pods/manifest.h"

namespace fermata::sandbox::pods {
namespace {

// "LINE: PATH" of each error, or "LINE" for one without a path.
std::vector<std::string> Places(const std::string& yaml) {
  std::vector<std::string> places;
  const auto pods = ParseManifest(yaml, "f");
  if (pods) return places;
  std::string text = pods.error().message();
  while (!text.empty()) {
    const std::string line = text.substr(0, text.find('\n'));
    text.erase(0, line.size() + 1);
    const size_t number = line.find(": ");
    const size_t path = line.find(": ", number + 2);
    places.push_back(line.substr(2, (path == std::string::npos ? number : path) - 2));
  }
  return places;
}

struct Wrong {
  const char* yaml;
  std::vector<std::string> places;
};

void Check(const std::string& before, const std::vector<Wrong>& rows, const std::string& after) {
  for (const Wrong& row : rows) {
    EXPECT_EQ(Places(before + row.yaml + "\n" + after), row.places) << row.yaml;
  }
}

// Long because it is a table.
TEST(WrongManifests, Containers) {
  const std::string before =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: b}\n---\n"  // lines 1 to 5
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: [{name: v, emptyDir: {}}]\n"
      "  containers:\n  - name: c\n    image: i\n    ";  // the row is line 14
  const std::string c = "14: spec.containers[0].";
  Check(
      before,
      {
          {"env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: x}}}]",
           {c + "env[0].valueFrom.configMapKeyRef.key"}},
          {"env: [{name: A, valueFrom: {configMapKeyRef: {name: no, key: a}}}]",
           {c + "env[0].valueFrom.configMapKeyRef.name"}},
          {"env: [{name: A, valueFrom: {secretKeyRef: {name: cm, key: a}}}]",
           {c + "env[0].valueFrom.secretKeyRef.name"}},
          {"env: [{name: A, valueFrom: {configMapKeyRef: {name: cm}}}]", {c + "env[0].valueFrom.configMapKeyRef"}},
          {"env: [{name: A, valueFrom: {configMapKeyRef: {key: a}}}]", {c + "env[0].valueFrom.configMapKeyRef"}},
          {"env: [{name: A, valueFrom: {configMapKeyRef: {name: CM, key: 'a b'}}}]",
           {c + "env[0].valueFrom.configMapKeyRef.name", c + "env[0].valueFrom.configMapKeyRef.key"}},
          {"env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]", {c + "env[0]"}},
          {"env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.foo}}}]",
           {c + "env[0].valueFrom.fieldRef.fieldPath"}},
          {"env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]",
           {c + "env[0].valueFrom.fieldRef.fieldPath"}},
          {"env: [{name: A, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: metadata.name}}}]",
           {c + "env[0].valueFrom.fieldRef.apiVersion"}},
          {"env: [{name: A, valueFrom: {fieldRef: {}}}]", {c + "env[0].valueFrom.fieldRef"}},
          {"env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]",
           {c + "env[0].valueFrom.resourceFieldRef.resource"}},
          {"env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 2}}}]",
           {c + "env[0].valueFrom.resourceFieldRef.divisor"}},
          {"env: [{name: A, valueFrom: {resourceFieldRef: {containerName: z, resource: limits.cpu}}}]",
           {c + "env[0].valueFrom.resourceFieldRef"}},
          {"env: [{name: A, valueFrom: {fileKeyRef: {}}}]", {c + "env[0].valueFrom.fileKeyRef"}},
          {"env: [{name: A, vlaue: x}, {name: 'B=', value: x}, {name: C, value: 1}]",
           {c + "env[0].vlaue", c + "env[1].name", c + "env[2].value"}},
          {"env: {A: b}", {c + "env"}},
          {"env: [A]", {c + "env[0]"}},
          {"envFrom: [{configMapRef: {name: no}}]", {c + "envFrom[0].configMapRef.name"}},
          {"envFrom: [{configMapRef: {name: cm}, secretRef: {name: cm}}]", {c + "envFrom[0]"}},
          {"envFrom: [{configMapRef: {}}]", {c + "envFrom[0].configMapRef"}},
          {"envFrom: [{configMapRef: {name: cm, key: a}}]", {c + "envFrom[0].configMapRef.key"}},
          {"envFrom: [{prefix: 'a=', secretRef: {name: x}}]", {c + "envFrom[0].prefix"}},
          {"volumeMounts: [{name: w, mountPath: /a}, {name: v, mountPath: /}]",
           {c + "volumeMounts[0].name", c + "volumeMounts[1].mountPath"}},
          {"volumeMounts: [{name: v}]", {c + "volumeMounts[0]"}},
          {"volumeMounts: [{mountPath: /a}]", {c + "volumeMounts[0]"}},
          {"volumeMounts: [{name: v, mountPath: /a, subPath: /b}]", {c + "volumeMounts[0].subPath"}},
          {"volumeMounts: [{name: v, mountPath: /a, subPath: a/../b}]", {c + "volumeMounts[0].subPath"}},
          {"volumeMounts: [{name: v, mountPath: /a, subPath: b, subPathExpr: c}]", {c + "volumeMounts[0].subPathExpr"}},
          {"volumeMounts: [{name: v, mountPath: /a, subPathExpr: b, subPath: c}]", {c + "volumeMounts[0].subPath"}},
          {"volumeMounts: [{name: v, mountPath: /a, recursiveReadOnly: Enabled}]",
           {c + "volumeMounts[0].recursiveReadOnly"}},
          {"volumeMounts: [{name: v, mountPath: /a, readOnly: true, recursiveReadOnly: Maybe}]",
           {c + "volumeMounts[0].recursiveReadOnly"}},
          {"volumeMounts: [{name: v, mountPath: /a, mountPropagation: Both}]",
           {c + "volumeMounts[0].mountPropagation"}},
          {"volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}]",
           {c + "volumeMounts[0].mountPropagation"}},
          {"volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a/}]", {c + "volumeMounts[1].mountPath"}},
          {"ports: [{containerPort: 1, hostPort: 0}]", {c + "ports[0].hostPort"}},
          {"ports: [{containerPort: 1, hostPort: 65536}]", {c + "ports[0].hostPort"}},
          {"ports: [{containerPort: 1, hostIP: host}]", {c + "ports[0].hostIP"}},
          {"ports: [{hostPort: 1}]", {c + "ports[0]"}},
          {"ports: [{containerPort: a}, {containerPort: 70000}]",
           {c + "ports[0].containerPort", c + "ports[1].containerPort"}},
          {"lifecycle: {stopSignal: SIGFOO}", {c + "lifecycle.stopSignal"}},
          {"lifecycle: {stopSignal: 9}", {c + "lifecycle.stopSignal"}},
          {"terminationMessagePath: /x", {c + "terminationMessagePath"}},
          {"imagePullPolicy: [Always]", {c + "imagePullPolicy"}},
          {"command: [sh, {}]", {c + "command[1]"}},
          {"restartPolicy: Sometimes", {c + "restartPolicy"}},
          {"resources: {limits: {cpu: x, memory: y}}", {c + "resources.limits.cpu", c + "resources.limits.memory"}},
          {"resources: {limits: {ephemeral-storage: 1}, claims: []}",
           {c + "resources.limits.ephemeral-storage", c + "resources.claims"}},
          {"workingDir: a\n    stdin: true\n    tty: x",
           {c + "workingDir", "15: spec.containers[0].stdin", "16: spec.containers[0].tty"}},
          {"securityContext: {runAsUser: x, privileged: 1}",
           {c + "securityContext.runAsUser", c + "securityContext.privileged"}},
          {"livenessProbe: {exec: {}}\n    readinessProbe: {periodSeconds: -1}",
           {c + "livenessProbe.exec", "15: spec.containers[0].readinessProbe.periodSeconds"}},
      },
      "");
}

// Long because it is a table.
TEST(WrongManifests, SpecsAndVolumes) {
  const std::string before =
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  ";  // the row is line 10
  const std::string v = "10: spec.volumes[0].";
  Check(
      before,
      {
          {"volumes: [{name: v, secret: {secretName: none}}]", {v + "secret"}},
          {"volumes: [{name: v, secret: {name: s}}]", {v + "secret.name"}},
          {"volumes: [{name: v, secret: {}}]", {v + "secret"}},
          {"volumes: [{name: v, configMap: {secretName: s}}]", {v + "configMap.secretName"}},
          {"volumes: [{name: v, configMap: {}}]", {v + "configMap"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: x, path: z}]}}]", {v + "secret.items[0].key"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a}]}}]", {v + "secret.items[0]"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{path: a}]}}]", {v + "secret.items[0]"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: /a}]}}]", {v + "secret.items[0].path"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: ../a}]}}]",
           {v + "secret.items[0].path"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: ..a}]}}]", {v + "secret.items[0].path"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: x}, {key: a, path: x}]}}]",
           {v + "secret"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: x}, {key: a, path: x/y}]}}]",
           {v + "secret"}},
          {"volumes: [{name: v, secret: {secretName: s, defaultMode: 01000}}]", {v + "secret.defaultMode"}},
          {"volumes: [{name: v, secret: {secretName: s, defaultMode: 512}}]", {v + "secret.defaultMode"}},
          {"volumes: [{name: v, secret: {secretName: s, defaultMode: '0400'}}]", {v + "secret.defaultMode"}},
          {"volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: b, mode: 0888}]}}]",
           {v + "secret.items[0].mode"}},
          {"volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
           {v + "projected.sources[0].serviceAccountToken"}},
          {"volumes: [{name: v, projected: {sources: [{secret: {secretName: s}}]}}]",
           {v + "projected.sources[0].secret.secretName"}},
          {"volumes: [{name: v, projected: {sources: [{secret: {name: s}}, {secret: {name: s}}]}}]", {v + "projected"}},
          {"volumes: [{name: v, projected: {sources: [{}]}}]", {v + "projected.sources[0]"}},
          {"volumes: [{name: v, projected: {sources: {}}}]", {v + "projected.sources"}},
          {"volumes: [{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}]}}]",
           {v + "downwardAPI.items[0].fieldRef.fieldPath"}},
          {"volumes: [{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}}]",
           {v + "downwardAPI.items[0].resourceFieldRef"}},
          {"volumes: [{name: v, downwardAPI: {items: [{path: a}]}}]", {v + "downwardAPI.items[0]"}},
          {"volumes: [{name: v, persistentVolumeClaim: {}}]", {v + "persistentVolumeClaim"}},
          {"volumes: [{name: v, persistentVolumeClaim: {claimName: A}}]", {v + "persistentVolumeClaim.claimName"}},
          {"volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: -1}}]", {v + "emptyDir.sizeLimit"}},
          {"volumes: [{name: v, image: {reference: a b}}]", {v + "image.reference"}},
          {"volumes: [{name: v, image: {pullPolicy: Never}}]", {v + "image"}},
          {"volumes: [{name: v, image: {reference: a, pullPolicy: Sometimes}}]", {v + "image.pullPolicy"}},
          {"volumes: [{name: v, nfs: {server: a}}]", {v + "nfs"}},
          {"volumes: [{name: V, emptyDir: {}}, {emptyDir: {}}]", {v + "name", "10: spec.volumes[1]"}},
          {"volumes: [{name: v, emptyDir: {}, secret: {secretName: s}}]", {"10: spec.volumes[0]"}},
          {"activeDeadlineSeconds: 0", {"10: spec.activeDeadlineSeconds"}},
          {"imagePullSecrets: [{name: s}]", {"10: spec.imagePullSecrets[0]"}},
          {"imagePullSecrets: [{name: none}]", {"10: spec.imagePullSecrets[0]"}},
          {"imagePullSecrets: [s]", {"10: spec.imagePullSecrets[0]"}},
          {"subdomain: a.b\n  hostname: A", {"10: spec.subdomain", "11: spec.hostname"}},
          {"setHostnameAsFQDN: 1", {"10: spec.setHostnameAsFQDN"}},
          {"dnsConfig: {nameservers: [x]}", {"10: spec.dnsConfig"}},
          {"dnsConfig: {nameserver: 1.1.1.1}", {"10: spec.dnsConfig.nameserver"}},
          {"dnsPolicy: None", {"10: spec"}},
          {"os: {name: windows}", {"10: spec.os"}},
          {"schedulerName: mine", {"10: spec.schedulerName"}},
          {"hostAliases: [{hostnames: [a]}]", {"10: spec.hostAliases[0]"}},
          {"securityContext: {fsGroupChangePolicy: Never}", {"10: spec.securityContext.fsGroupChangePolicy"}},
          {"hostNetwork: yes please\n  hostPID: 0\n  foo: bar",
           {"10: spec.hostNetwork", "11: spec.hostPID", "12: spec.foo"}},
          {"restartPolicy: Always\n  restartPolicy: Never", {"11: spec.restartPolicy"}},
          {"\thostPID: true", {"10: not YAML"}},
      },
      "  containers: [{name: c, image: i}]\n");
}

// Long because it is a table.
TEST(WrongManifests, OtherDocuments) {
  const std::string job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec:\n  ";
  const std::string pod = "\n  template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}\n";
  const std::string set = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  ";
  const std::string always = "\n  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}\n";
  const std::string map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
  const std::string secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
  const std::string claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a}\nspec:\n  ";
  const std::pair<std::string, std::vector<std::string>> rows[] = {
      {job + "completions: 0" + pod, {"5: spec.completions"}},
      {job + "selector: {}" + pod, {"5: spec.selector"}},
      {job + "ttlSecondsAfterFinished: 1" + pod, {"5: spec.ttlSecondsAfterFinished"}},
      {job + "completionMode: Some" + pod, {"5: spec.completionMode"}},
      {job + "completionMode: Indexed" + pod, {"5: spec"}},
      {job + "backoffLimit: -1", {"5: spec.backoffLimit", "5: spec"}},
      {set + "replicas: -1" + always, {"5: spec.replicas"}},
      {set + "replicas: 1000000" + always, {"5: spec.replicas"}},
      {set + "replicas: 2" + always, {"5: spec"}},
      {set + "selector: {matchLabels: {a: c}}" + always, {"5: spec.selector"}},
      {set + "selector: {}" + always, {"5: spec.selector"}},
      {set + "selector: {matchExpressions: [{key: a, operator: Is}]}" + always,
       {"5: spec.selector.matchExpressions[0]"}},
      {set + "selector: {matchExpressions: [{key: a, operator: In}]}" + always,
       {"5: spec.selector.matchExpressions[0]"}},
      {set + "selector: {matchExpressions: [{key: a, operator: DoesNotExist}]}" + always, {"5: spec.selector"}},
      {set + "selector: {matchLabels: {a: b}}\n  strategy: {type: Recreate}" + always, {"6: spec.strategy"}},
      {set + "selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, "
             "containers: [{name: c, image: i}]}}\n",
       {"6: spec.template.spec.restartPolicy"}},
      {"apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n", {"1: apiVersion"}},
      {"apiVersion: 1\nkind: Pod\n", {"1: apiVersion"}},
      {map + "data: {a: 1}\n", {"4: data.a"}},
      {map + "data: {'a b': x, ..: y}\n", {"4: data.\"a b\"", "4: data..."}},
      {map + "data: {a: x}\nbinaryData: {a: eA==}\n", {"5: binaryData.a"}},
      {map + "binaryData: {a: '*'}\n", {"4: binaryData.a"}},
      {map + "data: [a]\n", {"4: data"}},
      {map + "stringData: {a: x}\n", {"4: stringData"}},
      {map + "data: {a: x}\n---\n" + map + "data: {b: x}\n", {"6"}},
      {map + "immutable: 1\n", {"4: immutable"}},
      {map + "data: {big: " + std::string((1 << 20) + 1, 'x') + "}\n", {"1"}},
      {secret + "data: {a: '?', b: '!'}\n", {"4: data.a", "4: data.b"}},
      {secret + "type: kubernetes.io/tls\ndata: {tls.crt: eA==}\n", {"1"}},
      {secret + "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: x}\n", {"1"}},
      {secret + "type: kubernetes.io/service-account-token\n", {"4: type"}},
      {secret + "type: kubernetes.io/basic-auth\n", {"1"}},
      {claim + "accessModes: [ReadWriteOnce]", {"5: spec"}},
      {claim + "accessModes: [Some]\n  resources: {requests: {storage: 1Gi}}", {"5: spec.accessModes[0]"}},
      {claim + "accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: lots}}",
       {"6: spec.resources.requests.storage"}},
      {claim + "accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n  volumeMode: Block",
       {"7: spec.volumeMode"}},
      {claim + "accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n  storageClassName: fast",
       {"7: spec.storageClassName"}},
      {"apiVersion: v1\nkind: List\nitems: [{kind: Pod}, {apiVersion: v1}]\n", {"3: items[0]", "3: items[1]"}},
      {"apiVersion: v1\nkind: List\nitems: {}\n", {"3: items"}},
      {"a: &a [x]\nb: *a\n", {"1"}},
      {"a: b\n\t- c\n", {"2: not YAML"}},
      {"a: [}\n", {"1: not YAML"}},
      {"\xff\xfe", {"1"}},
  };
  for (const auto& [yaml, places] : rows) EXPECT_EQ(Places(yaml), places) << yaml.substr(0, 400);
}

TEST(WrongManifests, AllErrorsOfAllDocumentsInTheOrderOfTheirLines) {
  std::string yaml;
  for (int i = 0; i < 120; ++i) yaml += "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A}\n---\n";
  const auto pods = ParseManifest(yaml, "f");
  ASSERT_FALSE(pods);
  EXPECT_TRUE(pods.error().message().starts_with("f:3: metadata.name: "));
  EXPECT_TRUE(pods.error().message().ends_with("\nand 20 more"));
  const std::vector<std::string> expected = {"3: metadata.name", "6: foo", "6: kind"};
  EXPECT_EQ(Places("kind: Pod\napiVersion: v1\nmetadata: {name: A}\nspec: {containers: [{name: c, image: i}]}\n---\n"
                   "{apiVersion: v1, kind: Secret, metadata: {name: a}, foo: 1}\n---\n{apiVersion: v1, kind: 5}\n")
                .front(),
            expected.front());
}

}  // namespace
}  // namespace fermata::sandbox::pods
