// The command line: images, pods, their output, their ends.
#include <csignal>

#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class ImagesCliTest : public CliTest {};
class PodsCliTest : public CliTest {};

// Of demo.local/busybox:1, made as the demo makes it.
std::string MakeDemoImage(const std::string& directory) {
  const ProgramResult made = Program(directory, {"/bin/sh", FERMATA_SOURCE_DIR "/packaging/make-image.sh",
                                                 directory + "/demo.tar", "demo.local/busybox:1"})
                                 .Wait();
  EXPECT_EQ(made.code, 0) << made.err;
  return directory + "/demo.tar";
}

TEST_F(ImagesCliTest, ImagesComeFromAFileADirectoryAndStandardInput) {
  const std::string archive = MakeDemoImage(directory_.path());
  EXPECT_THAT(Output({"image", "import", archive}), HasSubstr("demo.local/busybox:1"));
  EXPECT_THAT(Output({"image", "ls"}), HasSubstr("demo.local/busybox:1"));
  EXPECT_EQ(Output({"image", "rm", "demo.local/busybox:1"}).empty(), false);
  EXPECT_THAT(Output({"image", "ls"}), ::testing::Not(HasSubstr("demo.local/busybox:1")));

  std::filesystem::create_directory(directory_ / "layout");
  ASSERT_EQ(Program(directory_.path(), {"/bin/tar", "-xf", archive, "-C", directory_ / "layout"}).Wait().code, 0);
  EXPECT_THAT(Output({"image", "import", directory_ / "layout", "localhost/named:2"}), HasSubstr("localhost/named:2"));
  EXPECT_THAT(Output({"image", "import", "-", "localhost/piped:3"}, ReadText(archive)), HasSubstr("localhost/piped:3"));
  const Json images = Json::parse(Output({"--json", "image", "ls"}), nullptr, false);
  ASSERT_TRUE(images.is_object());
  EXPECT_EQ(images.at("images").size(), 2U) << "one more than the suite's, whatever its names";
  EXPECT_EQ(Fermata({"image", "rm", "localhost/piped:3"}).code, 0);
}

TEST_F(ImagesCliTest, ARootFileSystemIsImportedWithAName) {
  std::filesystem::create_directories(directory_ / "root/bin");
  std::filesystem::copy("/bin/busybox", directory_ / "root/bin/sh");
  for (const char* name : {"dev", "proc", "sys", "etc"})
    std::filesystem::create_directory(directory_ / (std::string("root/") + name));
  const std::string tar = directory_ / "root.tar.gz";
  ASSERT_EQ(Program(directory_.path(), {"/bin/tar", "-czf", tar, "-C", directory_ / "root", "."}).Wait().code, 0);
  const ProgramResult nameless = Fermata({"image", "import", tar});
  EXPECT_EQ(nameless.code, 125);
  EXPECT_THAT(nameless.err, HasSubstr("give the image a NAME"));
  const ProgramResult directory = Fermata({"image", "import", directory_ / "root", "localhost/root:1"});
  EXPECT_EQ(directory.code, 125);
  EXPECT_THAT(directory.err, HasSubstr("fermata image import - NAME"));
  EXPECT_THAT(Output({"image", "import", tar, "localhost/root:1"}), HasSubstr("localhost/root:1"));
  EXPECT_THAT(Output({"image", "ls"}), HasSubstr("localhost/root:1"));
  Output({"image", "rm", "localhost/root:1"});
}

TEST_F(ImagesCliTest, WhatIsNotAnImageOrNotThereIsAnErrorOfOurs) {
  WriteText(directory_ / "text", "no image");
  EXPECT_EQ(Fermata({"image", "import", directory_ / "text", "x:1"}).code, 125);
  EXPECT_EQ(Fermata({"image", "import", directory_ / "missing"}).code, 125);
  const ProgramResult removed = Fermata({"image", "rm", "localhost/none:1"});
  EXPECT_EQ(removed.code, 125);
  EXPECT_THAT(removed.err, HasSubstr("localhost/none:1"));
}

TEST_F(PodsCliTest, TheDemoRunsAndIsPlainText) {
  Output({"image", "import", MakeDemoImage(directory_.path())});
  const LeakAudit before = daemon().Audit();
  const std::string out = Output({"run", FERMATA_SOURCE_DIR "/packaging/examples/hello.yaml"});
  for (const char* line : {"server | serving on port 8080\n", "server | ended by the client\n",
                           "client | http://localhost:8080 says: Hello from the server of pod hello\n",
                           "client | the page is not in my own file system\n", " fermata-pause\n", " httpd\n"}) {
    EXPECT_THAT(out, HasSubstr(line));
  }
  EXPECT_EQ(out.find('\x1b'), std::string::npos) << "colours are for terminals";
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
  EXPECT_EQ(Fermata({"image", "rm", "demo.local/busybox:1"}).code, 0);
}

TEST_F(PodsCliTest, TheExitStatusIsThatOfTheContainerThatFailed) {
  const std::string yaml = Manifest("fails", "restartPolicy: Never",
                                    {Container("good", "echo fine"), Container("bad", "echo oh >&2; exit 7")});
  const ProgramResult result = Fermata({"run", Yaml(yaml)});
  EXPECT_EQ(result.code, 7);
  EXPECT_THAT(result.out, HasSubstr("good | fine\n"));
  EXPECT_THAT(result.err, HasSubstr("bad  | oh\n"));
  EXPECT_THAT(result.err, HasSubstr("bad ended with 7 (Error)"));
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Fermata({"run", "-"}, Manifest("piped", "restartPolicy: Never", {Container("one", "echo alone")})).out,
            "alone\n");
}

TEST_F(PodsCliTest, AManifestThatIsWrongIsRefusedWithItsPlace) {
  const LeakAudit before = daemon().Audit();
  const ProgramResult typo = Fermata({"run", Yaml(Manifest("typo", "", {Container("c", "true", "comand: [x]")}))});
  EXPECT_EQ(typo.code, 125);
  EXPECT_THAT(typo.err, HasSubstr("pod.yaml:10"));
  EXPECT_THAT(typo.err, HasSubstr("spec.containers[0].comand"));
  const ProgramResult image = Fermata({"run", "-"},
                                      "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n"
                                      "  - {name: c, image: \"localhost/none:1\"}\n");
  EXPECT_EQ(image.code, 125);
  EXPECT_THAT(image.err, HasSubstr("localhost/none:1"));
  EXPECT_EQ(Fermata({"run", directory_ / "missing.yaml"}).code, 125);
  EXPECT_EQ(Fermata({"run", "-"}, "").code, 125);
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
}

TEST_F(PodsCliTest, ADetachedPodIsListedReadEnteredStoppedAndRemoved) {
  const std::string script =
      "for i in 1 2 3; do echo line $i; done; trap 'exit 0' TERM; while :; do usleep 10000; done";
  const std::string yaml = Yaml(Manifest("detached", "restartPolicy: Never",
                                         {Container("main", script), Container("side", "echo aside; sleep 1000")}));
  const std::string id = Output({"run", "-d", yaml});
  ASSERT_EQ(id.size(), 65U) << id;
  EXPECT_THAT(Output({"pods"}), ::testing::AllOf(HasSubstr("detached"), HasSubstr("Running")));
  EXPECT_THAT(Output({"ps"}), ::testing::AllOf(HasSubstr("main"), HasSubstr("side"), HasSubstr(kBusyboxImage)));
  EXPECT_EQ(Pods().at(0).at("id").get<std::string>() + "\n", id);
  ASSERT_TRUE(WaitUntil([&] { return Output({"logs", "detached", "-c", "main"}) == "line 1\nline 2\nline 3\n"; }));
  EXPECT_EQ(Output({"logs", "detached", "-c", "main", "--tail", "2"}), "line 2\nline 3\n");
  EXPECT_THAT(Output({"logs", id.substr(0, 12), "-c", "main", "--tail", "1", "-t"}),
              ::testing::MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9]{9}Z line 3\n"));
  ASSERT_TRUE(WaitUntil([&] { return Output({"logs", "detached"}).find("side | aside\n") != std::string::npos; }));
  EXPECT_THAT(Output({"logs", "detached"}), HasSubstr("main | line 1\n"));
  EXPECT_EQ(Fermata({"exec", "detached", "true"}).code, 125) << "which of the two?";
  EXPECT_EQ(Fermata({"run", "-d", yaml}).code, 125) << "the name is taken";
  const ProgramResult refused = Fermata({"rm", "detached"});
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("running"));
  EXPECT_EQ(Fermata({"stop", "detached", "-t", "1"}).code, 0);
  EXPECT_EQ(Pods().at(0).at("phase"), "Failed") << "side does not end at SIGTERM";
  EXPECT_THAT(Output({"ps", "-a"}), ::testing::AllOf(HasSubstr("Exited (0)"), HasSubstr("Exited (137)")));
  EXPECT_EQ(Output({"logs", "detached", "-c", "side"}), "aside\n") << "until it is removed";
  EXPECT_EQ(Fermata({"rm", "detached"}).code, 0);
  EXPECT_TRUE(Pods().empty());
  EXPECT_EQ(Fermata({"rm", "detached"}).code, 125);
}

// Ours, as of podman; with "--", as people know it from kubectl; and kubectl's order.
TEST_F(PodsCliTest, AnExecTakesItsOptionsBeforeTheCommandAndLeavesTheRestToIt) {
  Output({"run", "-d", Yaml(Manifest("two", "", {Container("main", "sleep 1000"), Container("side", "sleep 1000")}))});
  const std::vector<std::string> command = {"sh", "-c", "echo in; echo on >&2; exit 5"};
  const std::vector<std::vector<std::string>> forms = {
      {"exec", "-c", "side", "two"}, {"exec", "-c", "side", "two", "--"}, {"exec", "two", "-c", "side", "--"}};
  for (std::vector<std::string> words : forms) {
    SCOPED_TRACE(words.at(1) + " " + words.back());
    words.insert(words.end(), command.begin(), command.end());
    const ProgramResult exec = Fermata(words);
    EXPECT_EQ(exec.code, 5);
    EXPECT_EQ(exec.out, "in\n");
    EXPECT_EQ(exec.err, "on\n");
  }
}

TEST_F(PodsCliTest, OneInterruptStopsGracefullyAndRemoves) {
  const std::string script = "trap 'echo bye; exit 0' TERM; echo up; while :; do usleep 10000; done";
  const LeakAudit before = daemon().Audit();
  Program run = Begin({"run", Yaml(Manifest("patient", "", {Container("c", script)}))});
  ASSERT_TRUE(WaitUntil([&] { return run.Out() == "up\n"; })) << run.Err();
  run.Signal(SIGINT);
  const ProgramResult result = run.Wait();
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out, "up\nbye\n");
  EXPECT_TRUE(Pods().empty());
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
}

TEST_F(PodsCliTest, TheSecondInterruptKills) {
  const std::string script = "trap 'echo never' TERM; echo up; while :; do usleep 10000; done";
  Program run = Begin({"run", Yaml(Manifest("stubborn", "", {Container("c", script)}))});
  ASSERT_TRUE(WaitUntil([&] { return run.Out() == "up\n"; })) << run.Err();
  run.Signal(SIGINT);
  ASSERT_TRUE(WaitUntil([&] { return run.Out().ends_with("never\n"); })) << run.Out() << run.Err();
  run.Signal(SIGINT);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run.Wait().code, 130);
  EXPECT_LT(std::chrono::steady_clock::now() - start, Scaled(std::chrono::seconds(5)));
  EXPECT_TRUE(Pods().empty());
}

TEST_F(PodsCliTest, OnFailureStartsAgainAtOnceAndShowsBothOutputs) {
  const std::string script = "test -e /volume/once && echo second && exit 0; touch /volume/once; echo first; exit 1";
  const std::string yaml = Manifest("again", "restartPolicy: OnFailure\n  volumes: [{name: v, emptyDir: {}}]",
                                    {Container("c", script, "volumeMounts: [{name: v, mountPath: /volume}]")});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Output({"run", Yaml(yaml)}), "first\nsecond\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, Scaled(std::chrono::seconds(5)));
}

TEST_F(PodsCliTest, VolumesAreSharedAndGoWithThePod) {
  WriteText(directory_ / "host/file", "of the host\n");
  const std::string volumes =
      "restartPolicy: Never\n  volumes:\n  - {name: scratch, emptyDir: {}}\n  - {name: host, hostPath: {path: " +
      (directory_ / "host") + ", type: Directory}}";
  const std::string mounts =
      "volumeMounts: [{name: scratch, mountPath: /s}, {name: host, mountPath: /h, readOnly: true}]";
  const std::string yaml =
      Manifest("volumes", volumes,
               {Container("writer",
                          "cat /h/file > /s/tmp; mv /s/tmp /s/file 2>/dev/null || busybox mv /s/tmp /s/file; touch "
                          "/h/x || echo refused",
                          mounts),
                Container("reader", "until test -e /s/file; do usleep 5000; done; cat /s/file", mounts)});
  const ProgramResult result = Fermata({"run", Yaml(yaml)});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("reader | of the host\n"));
  EXPECT_THAT(result.out, HasSubstr("writer | refused\n"));
  EXPECT_TRUE(std::filesystem::is_empty(daemon().data_dir() + "/pods"));
  const std::string missing =
      Manifest("missing", "restartPolicy: Never\n  volumes: [{name: h, hostPath: {path: /no/such, type: Directory}}]",
               {Container("c", "true", "volumeMounts: [{name: h, mountPath: /h}]")});
  const ProgramResult refused = Fermata({"run", Yaml(missing)});
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("/no/such"));
  EXPECT_TRUE(std::filesystem::is_empty(daemon().data_dir() + "/pods"));
}

TEST_F(PodsCliTest, PodsOfTheCommandLineAreHiddenFromKubeletAndItsFromUs) {
  Output({"run", "-d", Yaml(Manifest("local", "", {Container("c", "sleep 1000")}))});
  const std::string kubelets = cri().RunPod("kubelets");
  EXPECT_EQ(cri().Pods().size(), 1U) << "kubelet kills every pod that it does not know";
  EXPECT_TRUE(cri().Containers().empty());
  v1::PodSandboxStatusResponse status;
  EXPECT_EQ(cri().TryPodStatus(Pods().at(0).at("id"), &status).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Pods().size(), 1U);
  EXPECT_THAT(Output({"pods", "-a"}), ::testing::AllOf(HasSubstr("kubelets"), HasSubstr("local")));
  v1::ListImagesResponse list;
  ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(), &list)));
  EXPECT_TRUE(list.images(0).pinned());
}

TEST_F(PodsCliTest, InfoAndVersionAnswerAndNoDaemonIsAnError) {
  EXPECT_THAT(Output({"info"}), HasSubstr(daemon().data_dir()));
  EXPECT_FALSE(Output({"version"}).empty());
  EXPECT_EQ(Output({"--socket", "unix://" + daemon().socket(), "pods"}).substr(0, 6), "POD ID");
  const ProgramResult lost = Fermata({"--socket", directory_ / "none.sock", "pods"});
  EXPECT_EQ(lost.code, 125);
  EXPECT_THAT(lost.err, HasSubstr("none.sock"));
}

}  // namespace
}  // namespace fermata::testing
