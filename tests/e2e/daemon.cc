#include "tests/e2e/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "overlay/digest.h"
#include "runtime/base/file.h"

namespace fermata::testing {
namespace {

namespace fs = std::filesystem;
constexpr auto kStart = std::chrono::seconds(20);
constexpr auto kEnd = std::chrono::seconds(20);
constexpr size_t kPiece = size_t{1} << 20;

}  // namespace

bool WaitUntil(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + Scaled(limit);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string ReadText(const std::string& path) {
  // Not by a stream, which throws where a process ends while its files in /proc are read.
  auto text = ReadFileAt(AT_FDCWD, path, size_t{1} << 30);
  return text ? std::move(text).value() : "";
}

void WriteText(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

Program::Program(const std::string& directory, std::vector<std::string> arguments, ProgramOptions given) {
  static int serial = 0;
  const std::string stem = directory + "/" + (given.name.empty() ? "program-" + std::to_string(serial++) : given.name);
  out_ = stem + ".out";
  err_ = stem + ".err";
  WriteText(stem + ".in", given.input);
  auto in = OpenAt(AT_FDCWD, stem + ".in", O_RDONLY);
  auto out = OpenAt(AT_FDCWD, out_, O_WRONLY | O_CREAT | O_APPEND, 0600);
  auto err = OpenAt(AT_FDCWD, err_, O_WRONLY | O_CREAT | O_APPEND, 0600);
  SpawnOptions options;
  options.executable = arguments.front();
  options.arguments = std::move(arguments);
  options.environment = std::move(given.environment);
  options.environment.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) options.environment.push_back(std::string(name) + "=" + value);
  }
  options.fds = {{in->get(), 0}, {out->get(), 1}, {err->get(), 2}};
  auto spawned = Spawn(options);
  EXPECT_OK(spawned);
  if (spawned) process_ = std::move(*spawned);
}

Program::~Program() {
  if (!process_.pidfd.valid()) return;
  (void)process_.pidfd.Signal(SIGKILL);
  (void)Reap(process_.pidfd);
}

ProgramResult Program::Wait(std::chrono::seconds limit) {
  ProgramResult result;
  if (!process_.pidfd.valid()) return result;
  if (!process_.pidfd.WaitExited(static_cast<int>(Scaled(limit).count()))) {
    ADD_FAILURE() << "pid " << process_.pid << " does not end; it said:\n" << Out() << Err();
    (void)process_.pidfd.Signal(SIGKILL);
  }
  const auto code = Reap(process_.pidfd);
  EXPECT_OK(code);
  process_ = {};
  return {code ? *code : -1, Out(), Err()};
}

Daemon::Daemon(std::string base) : base_(std::move(base)) {
  // A machine without cgroup v2 controllers has no limits to offer; these tests ask for none.
  // Pods of `fermata run` have `lo` only: nothing of the machine's network is to change.
  WriteText(base_ + "/config.toml", "[cgroup]\nmissing_controllers = \"warn\"\n[network]\npods = \"none\"\n");
}

Daemon::~Daemon() {
  if (program_ == nullptr) return;
  ADD_FAILURE() << "the test did not end its daemon";
  End();
}

std::vector<std::string> Daemon::CommandLine() const {
  return {BuiltProgram("fermatad"),
          "--config",
          base_ + "/config.toml",
          "--socket",
          socket(),
          "--data-dir",
          data_dir(),
          "--run-dir",
          run_dir(),
          "--cni-conf-dir",
          base_ + "/cni",
          "--log-level",
          "debug"};
}

::testing::AssertionResult Daemon::Start() {
  program_ =
      std::make_unique<Program>(base_, CommandLine(), ProgramOptions{.environment = environment, .name = "fermatad"});
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);  // as kubelet's client
  arguments.SetMaxSendMessageSize(-1);
  for (const char* name :
       {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS}) {
    arguments.SetInt(name, 20);
  }
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel = grpc::CreateCustomChannel("unix:" + socket(), grpc::InsecureChannelCredentials(), arguments);
  const auto deadline = std::chrono::system_clock::now() + Scaled(kStart);
  while (!channel->WaitForConnected(
      std::min(deadline, std::chrono::system_clock::now() + std::chrono::milliseconds(100)))) {
    if (!program_->Runs() || std::chrono::system_clock::now() > deadline) {
      return ::testing::AssertionFailure() << "fermatad does not answer:\n" << Log();
    }
  }
  runtime = v1::RuntimeService::NewStub(channel);
  images = v1::ImageService::NewStub(channel);
  pods = fv1::Pods::NewStub(channel);
  own_images = fv1::Images::NewStub(channel);
  network = fv1::Network::NewStub(channel);
  system = fv1::System::NewStub(channel);
  return ::testing::AssertionSuccess();
}

void Daemon::Kill9() {
  program_->Signal(SIGKILL);
  EXPECT_EQ(program_->Wait(kEnd).code, 128 + SIGKILL);
}

// Without our connection: an idle one of gRPC's C++ client does not notice that the server wants to go.
int Daemon::Terminate() {
  runtime.reset();
  images.reset();
  pods.reset();
  own_images.reset();
  network.reset();
  system.reset();
  channel.reset();
  program_->Signal(SIGTERM);
  return program_->Wait(kEnd).code;
}

std::string Daemon::Log() const { return program_ == nullptr ? "" : program_->Err(); }

grpc::Status Daemon::TryImport(const std::string& archive, const std::string& name) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(60)));
  fv1::ImportResponse response;
  const auto writer = own_images->Import(&context, &response);
  fv1::ImportRequest part;
  part.set_name(name);
  bool wanted = writer->Write(part);
  part.clear_name();
  for (size_t at = 0; wanted && at < archive.size(); at += kPiece) {
    part.set_data(archive.substr(at, kPiece));
    wanted = writer->Write(part);
  }
  (void)writer->WritesDone();
  return writer->Finish();
}

::testing::AssertionResult Daemon::Import(const std::string& archive, const std::string& name) {
  const grpc::Status status = TryImport(archive, name);
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "import: " << status.error_message();
}

std::string Daemon::cgroup_root() const {
  return Cgroup2Mount() + "/fermata-" + overlay::HexOf(overlay::DigestOf(data_dir())).substr(0, 8);
}

LeakAudit Daemon::Audit() const { return LeakAudit::Take({cgroup_root(), run_dir(), data_dir(), pid()}); }

::testing::AssertionResult Daemon::NothingLeakedSince(const LeakAudit& before) const {
  std::string left;
  const auto clean = [&] {
    left = Audit().Since(before);
    return left.empty();
  };
  if (WaitUntil(clean, std::chrono::seconds(10))) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "left behind:\n" << left;
}

void Daemon::RemoveAllPods() {
  grpc::ClientContext list_context;
  fv1::ListPodsRequest request;
  fv1::ListPodsResponse all;
  request.set_all(true);
  const grpc::Status listed = pods->List(&list_context, request, &all);
  EXPECT_TRUE(listed.ok()) << listed.error_message();
  for (const fv1::PodStatus& pod : all.pods()) {
    fv1::StopPodRequest stop;
    stop.set_pod(pod.id());
    stop.set_grace_seconds(0);
    fv1::StopPodResponse stopped;
    grpc::ClientContext stop_context;
    (void)pods->Stop(&stop_context, stop, &stopped);
    fv1::RemovePodRequest remove;
    remove.set_pod(pod.id());
    remove.set_force(true);
    fv1::RemovePodResponse removed;
    grpc::ClientContext remove_context;
    const grpc::Status status = pods->Remove(&remove_context, remove, &removed);
    EXPECT_TRUE(status.ok()) << pod.name() << ": " << status.error_message();
  }
}

// The daemon leaves its groups, empty; nobody but us knows of them.
void Daemon::RemoveGroups() {
  const std::string root = cgroup_root();
  for (const char* name : {"/monitors", "/pods", "/helpers", ""}) (void)::rmdir((root + name).c_str());
  if (!fs::exists(root)) return;
  ADD_FAILURE() << "control groups are left in " << root;
  WriteText(root + "/cgroup.kill", "1");  // pods of a daemon that has ended before its time, for instance
  for (const auto deadline = std::chrono::steady_clock::now() + Scaled(std::chrono::seconds(5));
       fs::exists(root) && std::chrono::steady_clock::now() < deadline;) {
    std::vector<std::string> groups = {root};
    std::error_code gone;
    for (const auto& entry : fs::recursive_directory_iterator(root, gone)) {
      if (entry.is_directory(gone)) groups.push_back(entry.path());
    }
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) (void)::rmdir(group->c_str());
  }
}

void Daemon::End() {
  if (program_ == nullptr) return;
  if (program_->Runs()) {
    RemoveAllPods();
    EXPECT_EQ(Terminate(), 0) << "exit status of fermatad";
  } else if (program_->pid() > 0) {
    ADD_FAILURE() << "fermatad has ended by itself with " << program_->Wait().code;
  }
  RemoveGroups();
  if (::testing::Test::HasFailure()) std::cerr << "--- fermatad said:\n" << Log() << "---\n";
  program_.reset();
}

bool CanRun() {
  const char* why = !IsRoot() ? "needs root" : Cgroup2Mount().empty() ? "needs a cgroup2 mount" : nullptr;
  if (why != nullptr) std::cout << "SKIPPED: " << why << "\n";
  return why == nullptr;
}

}  // namespace fermata::testing
