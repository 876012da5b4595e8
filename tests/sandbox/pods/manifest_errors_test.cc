// What is refused, and the whole text of it.
#include <gtest/gtest.h>

#include "sandbox/pods/manifest.h"

namespace fermata::sandbox::pods {
namespace {

constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr auto kNotYet = ErrorCode::kUnimplemented;

struct Row {
  std::string yaml;
  std::string text;
  ErrorCode code = kBad;
};

void ExpectError(const std::string& yaml, const std::string& text, ErrorCode code) {
  const auto pods = ParseManifest(yaml, "p.yaml");
  ASSERT_FALSE(pods) << yaml.substr(0, 300);
  EXPECT_EQ(pods.error().message(), text) << yaml.substr(0, 300);
  EXPECT_EQ(pods.error().code(), code) << text;
}

// yaml-cpp 0.7 finds an empty document there, again and again.
TEST(ManifestErrors, ACommaThatBeginsADocumentIsRefusedInsteadOfReadForEver) {
  const std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";
  ExpectError(",", "p.yaml:1: not YAML", kBad);
  ExpectError("---\n---\n,", "p.yaml:3: not YAML", kBad);
  ASSERT_TRUE(ParseManifest("---\n---\n" + pod + "---\n...\n---\n", "p.yaml"));
}

TEST(ManifestErrors, OfDocuments) {
  const std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";
  std::string deep = "a: ";
  for (int i = 0; i < 40; ++i) deep += "[";
  for (int i = 0; i < 40; ++i) deep += "]";
  std::string wide = "a: [";
  for (int i = 0; i < 100001; ++i) wide += "1,";
  const Row rows[] = {
      {"", "p.yaml: no pod in it"},
      {"# nothing\n---\n", "p.yaml: no pod in it"},
      {"text", "p.yaml:1: must be an object, not a string"},
      {"a: [1", "p.yaml:1: not YAML: end of sequence flow not found"},
      {"a: 1\na: 2\n", "p.yaml:2: a: given twice"},
      {"a:\n  b: &x 1\n", "p.yaml:2: anchors are not supported"},
      {"a: *x\n", "p.yaml:1: not YAML: the referenced anchor is not defined"},
      {"a: !!binary x\n", "p.yaml:1: tags are not supported"},
      {"? [a]\n: 1\n", "p.yaml:1: the name of a field must be a string"},
      {"a: \"x\\0y\"\n", "p.yaml:1: NUL byte in a string"},
      {"a: 1\nb: \x04\n", "p.yaml:2: control character or invalid UTF-8"},
      {"a: \xff\n", "p.yaml:1: control character or invalid UTF-8"},
      {"a: \xc0\xaf\n", "p.yaml:1: control character or invalid UTF-8"},
      {deep, "p.yaml:1: nested deeper than 32"},
      {wide + "1]", "p.yaml:1: over 100000 values"},
      {std::string(kMaxManifestBytes + 1, ' '), "p.yaml: larger than 4 MiB"},
      {"apiVersion: v1\nkind: Service\nspec: {}\n", "p.yaml:2: kind: \"Service\" is not supported yet", kNotYet},
      {"apiVersion: v2\nkind: Pod\n", "p.yaml:1: apiVersion: a Pod is of v1"},
      {"kind: Pod\n", "p.yaml:1: apiVersion is missing"},
      {"apiVersion: v1\n", "p.yaml:1: kind is missing"},
      {"apiVersion: v1\nkind: Pod\nspec: {}\n", "p.yaml:1: metadata is missing\np.yaml:3: spec: containers is missing"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "p.yaml:1: spec is missing"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "p.yaml:4: spec: containers is missing"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {}\n",
       "p.yaml:3: metadata: name is missing\np.yaml:4: spec: containers is missing"},
      {"apiVersion: v1\nkind: Pod\ncontainers: []\n",
       "p.yaml:1: metadata is missing\np.yaml:1: spec is missing\np.yaml:3: containers: unknown field"},
      {pod + "---\n" + pod, "p.yaml:6: the pod default/a is given twice"},
  };
  for (const Row& row : rows) ExpectError(row.yaml, row.text, row.code);
}

TEST(ManifestErrors, OfMetadata) {
  const Row rows[] = {
      {"name: Web", "metadata.name: \"Web\" must be 1 to 253 of a-z, 0-9, '-' and '.', a letter or digit at each end"},
      {"name: 12", "metadata.name: must be a string, not a number; put it in quotes"},
      {"name: yes", "metadata.name: must be a string, not a boolean; put it in quotes"},
      {"name: [a]", "metadata.name: must be a string, not a list"},
      {"namespace: a.b",
       "metadata.namespace: \"a.b\" must be 1 to 63 of a-z, 0-9 and '-', a letter or digit at both ends"},
      {"labels: {a: 1}", "metadata.labels.a: must be a string, not a number; put it in quotes"},
      {"labels: {-a: b}", "metadata.labels.-a: not a valid name of a label"},
      {"labels: {a: 'b c'}", "metadata.labels.a: \"b c\" is no valid value of a label"},
      {"annotations: {'a b': c}", "metadata.annotations.\"a b\": not a valid name of an annotation"},
      {"generateName: a-", "metadata.generateName: not supported yet", kNotYet},
      {"nmae: a", "metadata.nmae: unknown field"},
  };
  for (const Row& row : rows) {
    ExpectError("apiVersion: v1\nkind: Pod\nmetadata:\n  " + row.yaml +
                    (row.yaml.starts_with("name:") ? "" : "\n  name: x") +
                    "\nspec: {containers: [{name: c, image: i}]}\n",
                "p.yaml:4: " + row.text, row.code);
  }
}

TEST(ManifestErrors, OfThePodsSpec) {
  const Row rows[] = {
      {"foo: 1", "foo: unknown field"},
      {"image: busybox", "image: unknown field"},
      {"initContainers: {}", "initContainers: must be a list, not an object"},
      {"initContainers: [{name: d, image: i, livenessProbe: {exec: {command: [a]}}}]",
       "initContainers[0].livenessProbe: of init containers only those with restartPolicy Always have it"},
      {"initContainers: [{name: d, image: i, restartPolicy: Never, lifecycle: {}}]",
       "initContainers[0].lifecycle: of init containers only those with restartPolicy Always have it"},
      {"nodeSelector: {a: b}", "nodeSelector: not supported yet", kNotYet},
      {"hostUsers: false", "hostUsers: false is not supported yet", kNotYet},
      {"enableServiceLinks: true", "enableServiceLinks: not supported yet", kNotYet},
      {"hostPID: 1", "hostPID: must be true or false, not a number"},
      {"hostPID: \"true\"", "hostPID: must be true or false, not a string"},
      {"restartPolicy: always", "restartPolicy: \"always\" is none of Always, OnFailure and Never"},
      {"terminationGracePeriodSeconds: -1", "terminationGracePeriodSeconds: -1 is not in 0..2147483647"},
      {"terminationGracePeriodSeconds: 1.5", "terminationGracePeriodSeconds: \"1.5\" is no whole number"},
      {"terminationGracePeriodSeconds: 010", "terminationGracePeriodSeconds: \"010\" is no whole number"},
      {"terminationGracePeriodSeconds: '30'", "terminationGracePeriodSeconds: must be a number, not a string"},
      {"hostname: a.b", "hostname: \"a.b\" must be 1 to 63 of a-z, 0-9 and '-', a letter or digit at both ends"},
      {"dnsPolicy: Any", "dnsPolicy: \"Any\" is none of Default, ClusterFirst, ClusterFirstWithHostNet and None"},
      {"hostAliases: [{ip: x}]", "hostAliases[0].ip: \"x\" is no IP address"},
      {"hostAliases: [{ip: 1.2.3.4, hostnames: [\"a b\"]}]",
       "hostAliases[0].hostnames[0]: \"a b\" must be 1 to 253 of a-z, 0-9, '-' and '.', a letter or digit at each end"},
      {"securityContext: {runAsUser: -1}", "securityContext.runAsUser: -1 is not in 0..4294967294"},
      {"securityContext: {runAsUser: 4294967295}", "securityContext.runAsUser: 4294967295 is not in 0..4294967294"},
      {"securityContext: {privileged: true}", "securityContext.privileged: unknown field"},
      {"securityContext: {fsGroup: -1}", "securityContext.fsGroup: -1 is not in 0..4294967294"},
      {"securityContext: {sysctls: [{name: kernel.panic, value: '1'}]}",
       "securityContext.sysctls[0]: \"kernel.panic\": not a sysctl of the pod's own namespaces"},
      {"volumes: [{name: v}]",
       "volumes[0]: needs one source, such as emptyDir, hostPath, configMap, secret or persistentVolumeClaim"},
      {"volumes: [{name: v, emptyDir:}]",
       "volumes[0]: needs one source, such as emptyDir, hostPath, configMap, secret or persistentVolumeClaim"},
      {"volumes: [{name: v, emptyDir: {}, hostPath: {path: /a}}]",
       "volumes[0]: needs one source, such as emptyDir, hostPath, configMap, secret or persistentVolumeClaim"},
      {"volumes: [{name: v, emptyDir: {medium: Disk}}]", "volumes[0].emptyDir.medium: \"Disk\" is no medium"},
      {"volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]",
       "volumes[0].emptyDir.sizeLimit: on a disk is not supported yet", kNotYet},
      {"volumes: [{name: v, image: {}}]", "volumes[0].image: reference is missing"},
      {"volumes: [{name: v, configMap: {name: a}}]",
       "volumes[0].configMap: the file has no ConfigMap \"a\" of namespace default"},
      {"volumes: [{name: v, hostPath: {}}]", "volumes[0].hostPath: path is missing"},
      {"volumes: [{name: v, hostPath: {path: a}}]", "volumes[0].hostPath.path: \"a\": the path must be absolute"},
      {"volumes: [{name: v, hostPath: {path: /a/../b}}]",
       "volumes[0].hostPath.path: \"/a/../b\": a path must not contain \"..\""},
      {"volumes: [{name: v, hostPath: {path: /a, type: Dir}}]",
       "volumes[0].hostPath.type: \"Dir\" is no type of a host path"},
      {"volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]", "volumes[1]: the name \"v\" is taken"},
      {"containers: []", "containers: a pod needs at least one container"},
      {"containers: {}", "containers: must be a list, not an object"},
  };
  for (const Row& row : rows) {
    const std::string containers = row.yaml.starts_with("containers") ? "" : "  containers: [{name: c, image: i}]\n";
    ExpectError("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  " + row.yaml + "\n" + containers,
                "p.yaml:5: spec." + row.text, row.code);
  }
}

TEST(ManifestErrors, OfFieldsThatContradictEachOther) {
  const Row rows[] = {
      {"hostPID: true\n  shareProcessNamespace: true", "spec: hostPID and shareProcessNamespace exclude each other"},
      {"dnsPolicy: None", "spec: dnsPolicy None needs a dnsConfig"},
      {"hostNetwork: true\n  securityContext: {sysctls: [{name: net.core.somaxconn, value: '1'}]}",
       "spec.securityContext.sysctls[0]: \"net.core.somaxconn\": the pod uses the host's network namespace"},
      {"hostIPC: true\n  securityContext: {sysctls: [{name: kernel.shmmax, value: '1'}]}",
       "spec.securityContext.sysctls[0]: \"kernel.shmmax\": the pod uses the host's ipc namespace"},
  };
  for (const Row& row : rows) {
    const auto pods = ParseManifest("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  " + row.yaml +
                                        "\n  containers: [{name: c, image: i}]\n",
                                    "p.yaml");
    ASSERT_FALSE(pods);
    EXPECT_TRUE(pods.error().message().ends_with(": " + row.text)) << pods.error().message();
  }
}

const Row kContainerRows[] = {
    {"foo: 1", ".foo: unknown field"},
    {"restartPolicy: Maybe", ".restartPolicy: \"Maybe\" is none of Always, OnFailure and Never"},
    {"restartPolicyRules: []", ".restartPolicyRules: not supported yet", kNotYet},
    {"livenessProbe: {}", ".livenessProbe: needs one of exec, httpGet, tcpSocket and grpc"},
    {"livenessProbe: {tcpSocket: {port: 1}, grpc: {port: 1}}",
     ".livenessProbe: needs one of exec, httpGet, tcpSocket and grpc"},
    {"livenessProbe: {tcpSocket: {}}", ".livenessProbe.tcpSocket: port is missing"},
    {"livenessProbe: {tcpSocket: {port: 0}}", ".livenessProbe.tcpSocket.port: 0 is not in 1..65535"},
    {"livenessProbe: {tcpSocket: {port: web}}",
     ".livenessProbe.tcpSocket.port: the container has no port named \"web\""},
    {"livenessProbe: {tcpSocket: {port: '80'}}", ".livenessProbe.tcpSocket.port: \"80\" is no name of a port"},
    {"livenessProbe: {grpc: {port: web}}", ".livenessProbe.grpc.port: must be a number, not a string"},
    {"livenessProbe: {exec: {}}", ".livenessProbe.exec: command is missing"},
    {"livenessProbe: {exec: {command: [a]}, successThreshold: 2}",
     ".livenessProbe.successThreshold: must be 1 but for readiness"},
    {"startupProbe: {exec: {command: [a]}, periodSeconds: -1}",
     ".startupProbe.periodSeconds: -1 is not in 0..2147483647"},
    {"startupProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 0}",
     ".startupProbe.terminationGracePeriodSeconds: 0 is not in 1..2147483647"},
    {"readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 5}",
     ".readinessProbe.terminationGracePeriodSeconds: readiness kills nothing"},
    {"readinessProbe: {httpGet: {port: 1, scheme: http}}",
     ".readinessProbe.httpGet.scheme: \"http\" is none of HTTP and HTTPS"},
    {"readinessProbe: {httpGet: {port: 1, httpHeaders: [{name: 'a b', value: x}]}}",
     ".readinessProbe.httpGet.httpHeaders[0].name: \"a b\" is no name of a header"},
    {"readinessProbe: {httpGet: {port: 1, httpHeaders: [{name: a, value: \"x\\ny\"}]}}",
     ".readinessProbe.httpGet.httpHeaders[0].value: a header is one line"},
    {"readinessProbe: {httpGet: {port: 1, host: 'a/b'}}", ".readinessProbe.httpGet.host: \"a/b\" is no host"},
    {"readinessProbe: {exec: {command: [a]}, every: 1}", ".readinessProbe.every: unknown field"},
    {"lifecycle: {preStop: {}}", ".lifecycle.preStop: needs one of exec, httpGet, tcpSocket and sleep"},
    {"lifecycle: {preStop: {sleep: {seconds: 31}}}",
     ".lifecycle.preStop.sleep: 31 s is longer than the pod's terminationGracePeriodSeconds"},
    {"lifecycle: {preStop: {sleep: {}}}", ".lifecycle.preStop.sleep: seconds is missing"},
    {"lifecycle: {stopSignal: INT}", ".lifecycle.stopSignal: \"INT\" is no signal such as SIGTERM"},
    {"envFrom: [{}]", ".envFrom[0]: needs one of configMapRef and secretRef"},
    {"tty: true", ".tty: not supported yet", kNotYet},
    {"stdin: true", ".stdin: not supported yet", kNotYet},
    {"imagePullPolicy: Maybe", ".imagePullPolicy: \"Maybe\" is none of Always, IfNotPresent and Never"},
    {"command: sh", ".command: must be a list, not a string"},
    {"command: [sleep, 10]", ".command[1]: must be a string, not a number; put it in quotes"},
    {"args: [null]", ".args[0]: must be a string, not null"},
    {"workingDir: srv", ".workingDir: \"srv\": the path must be absolute"},
    {"env: [{name: A, value: true}]", ".env[0].value: must be a string, not a boolean; put it in quotes"},
    {"env: [{name: A, value: 1e3}]", ".env[0].value: must be a string, not a number; put it in quotes"},
    {"env: [{name: A=B}]", ".env[0].name: \"A=B\" is no name of a variable"},
    {"env: [{value: x}]", ".env[0]: name is missing"},
    {"env: [{name: A, valueFrom: {}}]",
     ".env[0].valueFrom: needs one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef"},
    {"ports: [{containerPort: 0}]", ".ports[0].containerPort: 0 is not in 1..65535"},
    {"ports: [{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}]", ": the hostPort 80 is taken"},
    {"ports: [{containerPort: 1, protocol: tcp}]", ".ports[0].protocol: \"tcp\" is none of TCP, UDP and SCTP"},
    {"ports: [{containerPort: 1, name: '80'}]", ".ports[0].name: \"80\" is no name of a port"},
    {"ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]", ": the name \"a\" of a port is taken"},
    {"volumeMounts: [{name: x, mountPath: /a}]", ".volumeMounts[0].name: there is no volume \"x\""},
    {"volumeMounts: [{name: v, mountPath: /a, subPath: ../b}]",
     ".volumeMounts[0].subPath: \"../b\": a path must not contain \"..\""},
    {"volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: //a/.}]",
     ".volumeMounts[1].mountPath: \"//a/.\" is mounted twice"},
    {"volumeMounts: [{name: v, mountPath: /}]", ".volumeMounts[0].mountPath: a volume cannot replace the whole root"},
    {"volumeMounts: [{name: v, mountPath: a}]", ".volumeMounts[0].mountPath: \"a\": the path must be absolute"},
    {"volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}]",
     ".volumeMounts[0].mountPropagation: Bidirectional needs a privileged container"},
    {"resources: {limits: {cpu: 1x}}", ".resources.limits.cpu: \"1x\" is no quantity like 500m or 1.5Gi"},
    {"resources: {limits: {memory: -1}}", ".resources.limits.memory: \"-1\" is negative"},
    {"resources: {limits: {memory: 16Ei}}", ".resources.limits.memory: \"16Ei\" is too large"},
    {"resources: {limits: {cpu: 1}, requests: {cpu: 1001m}}", ".resources: the request of cpu is above its limit"},
    {"resources: {limits: {hugepages-2Mi: 1}}", ".resources.limits.hugepages-2Mi: not supported yet", kNotYet},
    {"resources: {limits: {nvidia.com/gpu: 1}}", ".resources.limits.nvidia.com/gpu: not supported yet", kNotYet},
    {"resources: {limits: {disk: 1}}", ".resources.limits.disk: unknown field"},
    {"securityContext: {fsGroup: 1}", ".securityContext.fsGroup: unknown field"},
    {"securityContext: {runAsGroup: 5}", ".securityContext: runAsGroup without runAsUser is not supported yet",
     kNotYet},
    {"securityContext: {procMount: Default}", ".securityContext.procMount: not supported yet", kNotYet},
    {"securityContext: {runAsNonRoot: true}", ".securityContext: runAsNonRoot without runAsUser is not supported yet",
     kNotYet},
    {"securityContext: {runAsNonRoot: true, runAsUser: 0}",
     ".securityContext: runAsNonRoot is true and runAsUser is 0"},
    {"securityContext: {privileged: true, allowPrivilegeEscalation: false}",
     ".securityContext: allowPrivilegeEscalation is false and privileged is true"},
    {"securityContext: {allowPrivilegeEscalation: false, capabilities: {add: [SYS_ADMIN]}}",
     ".securityContext: allowPrivilegeEscalation is false and capabilities.add has SYS_ADMIN"},
    {"securityContext: {capabilities: {add: [NOPE]}}",
     ".securityContext.capabilities.add[0]: \"NOPE\" is no capability"},
    {"securityContext: {seccompProfile: {type: Localhost}}",
     ".securityContext.seccompProfile: localhostProfile is needed for type Localhost and for no other"},
    {"securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}}",
     ".securityContext.seccompProfile: \"a.json\": the path must be absolute"},
    {"securityContext: {seccompProfile: {type: None}}",
     ".securityContext.seccompProfile: \"None\" is none of RuntimeDefault, Unconfined and Localhost"},
};

TEST(ManifestErrors, OfContainers) {
  for (const Row& row : kContainerRows) {
    // The line of the field, but of the container's start for what is about the container.
    const std::string line = row.text.starts_with(':') ? "p.yaml:7: " : "p.yaml:9: ";
    ExpectError(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: [{name: v, emptyDir: {}}]\n"
        "  containers:\n  - name: c\n    image: i\n    " +
            row.yaml + "\n",
        line + "spec.containers[0]" + row.text, row.code);
  }
}

TEST(ManifestErrors, OfNamesAndImagesOfContainers) {
  const Row rows[] = {
      {"- image: i", "spec.containers[0]: name is missing"},
      {"- name: c", "spec.containers[0]: image is missing"},
      {"- {name: c_1, image: i}",
       "spec.containers[0].name: \"c_1\" must be 1 to 63 of a-z, 0-9 and '-', a letter or digit at both ends"},
      {"- {name: c, image: ' i'}", "spec.containers[0].image: \" i\" is no image"},
      {"- {name: c, image: i, image: j}", "spec.containers[0].image: given twice"},
  };
  for (const Row& row : rows) {
    ExpectError("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  " + row.yaml + "\n",
                "p.yaml:6: " + row.text, row.code);
  }
  ExpectError(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: c, image: i}\n"
      "  - {name: c, image: i}\n",
      "p.yaml:7: spec.containers[1]: the name \"c\" is taken", kBad);
}

TEST(ManifestErrors, AnInitContainerAndAContainerHaveDifferentNames) {
  ExpectError(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  initContainers: [{name: c, image: i}]\n"
      "  containers:\n  - {name: c, image: i}\n",
      "p.yaml:7: spec.containers[0]: the name \"c\" is taken", kBad);
}

TEST(ManifestErrors, VariablesThatDoubleEachOtherEnd) {
  std::string env = "    env:\n    - {name: V0, value: xxxxxxxxxxxxxxxx}\n";
  for (int i = 1; i < 64; ++i) {
    const std::string before = "$(V" + std::to_string(i - 1) + ")";
    env += "    - {name: V" + std::to_string(i) + ", value: \"" + before + before + "\"}\n";
  }
  const auto pods = ParseManifest(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    image: i\n" + env,
      "p.yaml");
  ASSERT_FALSE(pods);
  EXPECT_NE(pods.error().message().find("after expansion"), std::string::npos) << pods.error().message();
}

}  // namespace
}  // namespace fermata::sandbox::pods
