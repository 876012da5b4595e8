// What a manifest brings along, in real pods: ConfigMaps, Secrets, volumes of files, claims, facts of the running pod.
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kObjects =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {greeting: hello, conf: 'a=1'}\n---\n"
    "apiVersion: v1\nkind: Secret\nmetadata: {name: sec}\nstringData: {password: hush-hush}\n---\n"
    "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: keep}\n"
    "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n";

constexpr const char* kVolumes =
    "restartPolicy: Never\n  volumes:\n"
    "  - {name: keep, persistentVolumeClaim: {claimName: keep}}\n"
    "  - {name: ram, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n"
    "  - name: mix\n    projected:\n      sources:\n"
    "      - {configMap: {name: cm, items: [{key: conf, path: etc/app.conf}]}}\n"
    "      - {secret: {name: sec, items: [{key: password, path: pw, mode: 0400}]}}\n"
    "      - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}";

class ManifestTest : public CliTest {
 protected:
  static std::string Everything(const std::string& name, const std::string& script) {
    return kObjects + Manifest(name, kVolumes,
                               {Container("c", script,
                                          "env:\n"
                                          "    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n"
                                          "    - {name: HI, valueFrom: {configMapKeyRef: {name: cm, key: greeting}}}\n"
                                          "    - {name: PW, valueFrom: {secretKeyRef: {name: sec, key: password}}}\n"
                                          "    - {name: URL, value: '[$(IP)]'}\n"
                                          "    volumeMounts:\n"
                                          "    - {name: keep, mountPath: /keep, subPathExpr: '$(HI)/in'}\n"
                                          "    - {name: ram, mountPath: /ram}\n"
                                          "    - {name: mix, mountPath: /mix}")});
  }
};

TEST_F(ManifestTest, APodFindsItsValuesFilesAndVolumes) {
  const std::string script =
      "echo \"$HI $PW\"; cat /mix/etc/app.conf /mix/pw /mix/name; readlink /mix/pw; echo; "
      "echo x > /mix/new || echo readonly; date > /keep/stamp; df -k /ram | tail -1 | grep -o ' 1024 '; "
      "test \"$URL\" = \"[$IP]\" && echo url; exec sleep 1000";
  Output({"run", "-d", Yaml(Everything("all", script))});
  ASSERT_TRUE(WaitUntil([&] {
    return Output({"logs", "all"}).find("url") != std::string::npos;
  })) << Output({"logs", "all"});
  const std::string log = Output({"logs", "all"});
  EXPECT_THAT(log, HasSubstr("hello hush-hush\na=1hush-hushall..data/pw\n"));
  EXPECT_THAT(log, HasSubstr("readonly"));
  EXPECT_THAT(log, HasSubstr(" 1024 "));
  const Json ips = Pods().at(0).at("ips");
  const std::string ip = ips.empty() ? "" : std::string(ips.at(0));
  EXPECT_EQ(Output({"exec", "all", "--", "sh", "-c", "echo $IP"}), ip + "\n");
}

TEST_F(ManifestTest, AClaimOutlivesItsPodAndItsDaemon) {
  Output({"run", Yaml(Everything("first", "echo kept > /keep/file"))});
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  EXPECT_EQ(Output({"run", Yaml(Everything("second", "cat /keep/file"))}), "kept\n");
}

TEST_F(ManifestTest, ARestartedContainerOfARestartedDaemonHasItsSecretStill) {
  const std::string script = "echo \"$PW $(cat /mix/pw)\"; exec sleep 1000";
  Output({"run", "-d", Yaml(Everything("again", script))});
  ASSERT_TRUE(WaitUntil([&] { return Output({"logs", "again"}) == "hush-hush hush-hush\n"; }));
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  EXPECT_EQ(Output({"exec", "again", "--", "sh", "-c", "echo $PW; cat /mix/pw"}), "hush-hush\nhush-hush");
}

TEST_F(ManifestTest, ASubPathLeadsNowhereElse) {
  const std::string volumes = "restartPolicy: Never\n  volumes: [{name: v, emptyDir: {}}]\n  initContainers:\n" +
                              Container("plant", "ln -s / /v/out", "volumeMounts: [{name: v, mountPath: /v}]");
  Output({"run", "--keep",
          Yaml(Manifest("trap", volumes.substr(0, volumes.size() - 1),
                        {Container("c", "ls -d /v/etc /v/root 2>&1; touch /v/here; true",
                                   "volumeMounts: [{name: v, mountPath: /v, subPath: out}]")}))});
  EXPECT_THAT(Output({"logs", "trap", "-c", "c"}), HasSubstr("No such file"));
}

TEST_F(ManifestTest, AnImageIsAVolume) {
  const std::string image(kBusyboxImage);
  const std::string volumes = "restartPolicy: Never\n  volumes: [{name: v, image: {reference: '" + image + "'}}]";
  Output({"run", "--keep",
          Yaml(Manifest("image", volumes,
                        {Container("c", "/v/bin/busybox cat /part/group | head -1; touch /v/new || echo readonly",
                                   "volumeMounts:\n    - {name: v, mountPath: /v}\n"
                                   "    - {name: v, mountPath: /part, subPath: etc}")}))});
  EXPECT_THAT(Output({"logs", "image", "-c", "c"}), HasSubstr("root:x:0:\n"));
  EXPECT_THAT(Output({"logs", "image", "-c", "c"}), HasSubstr("readonly"));
}

TEST_F(ManifestTest, ADryRunShowsNoSecretAndStartsNothing) {
  const std::string plan = Output({"run", "--dry-run", Yaml(Everything("dry", "true"))});
  EXPECT_THAT(plan, HasSubstr("pod default/dry"));
  EXPECT_THAT(plan, HasSubstr("PW"));
  EXPECT_THAT(plan, Not(HasSubstr("hush")));
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Output({"validate", Yaml(Everything("dry", "true"))}), "pod default/dry\n");
  const ProgramResult wrong = Fermata({"validate", Yaml("kind: Pod\napiVersion: v2\n---\nkind: Pod\n")});
  EXPECT_NE(wrong.code, 0);
  EXPECT_THAT(wrong.err, HasSubstr("pod.yaml:2: apiVersion: "));
  EXPECT_THAT(wrong.err, HasSubstr("\nfermata: " + directory_.path() + "/pod.yaml:4: apiVersion is missing"));
}

TEST_F(ManifestTest, ADeadlineFailsAPod) {
  Output({"run", "-d",
          Yaml(Manifest("late", "activeDeadlineSeconds: 1",
                        {Container("c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")}))});
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("phase") == "Failed"; }));
  EXPECT_EQ(Pods().at(0).at("reason"), "DeadlineExceeded");
}

TEST_F(ManifestTest, AJobEndsAfterItsRetries) {
  const std::string yaml =
      "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec:\n  backoffLimit: 1\n"
      "  template:\n    spec:\n      restartPolicy: OnFailure\n      containers: [{name: c, image: " +
      std::string(kBusyboxImage) + ", command: [sh, -c, exit 3]}]\n";
  Output({"run", "-d", Yaml(yaml)});
  ASSERT_TRUE(WaitUntil([&] { return Pods().at(0).at("phase") == "Failed"; }));
  EXPECT_EQ(Pods().at(0).at("name"), "job-0");
  EXPECT_EQ(Pods().at(0).at("containers").at(0).at("restart_count"), 1);
}

}  // namespace
}  // namespace fermata::testing
