#include "tests/oci/oci_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <csignal>

#include "runtime/base/pidfd.h"

namespace fermata::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kDeadlineMs = 60'000;
int serial = 0;

const Json kConfig = R"({
  "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "hostname": "oci-test",
  "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin", "HOME=/root"],
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"],
                     "effective": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"],
                     "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"]}},
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
                           {"type": "cgroup"}]}})"_json;

std::string TextOf(int fd) {
  EXPECT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  const auto text = ReadAll(fd);
  return text ? *text : "";
}

std::vector<std::string> NamesBelow(const std::string& path, bool directories_only) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(path, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    if (!directories_only || entry->is_directory(ignored)) names.push_back(entry->path());
  }
  std::ranges::sort(names);
  return names;
}

void PrintList(std::ostream& out, const char* what, const std::vector<std::string>& list) {
  for (const std::string& item : list) out << "\n  " << what << ": " << item;
}

}  // namespace

void PrintTo(const Remains& remains, std::ostream* out) {
  PrintList(*out, "mount", remains.mounts);
  PrintList(*out, "group", remains.groups);
  PrintList(*out, "process", remains.processes);
  PrintList(*out, "file", remains.files);
  PrintList(*out, "descriptor", remains.descriptors);
}

std::string Slurp(const std::string& path) {
  auto text = ReadFileAt(AT_FDCWD, path);
  EXPECT_OK(text);
  return text ? *text : "";
}

void Spill(const std::string& path, const std::string& text, mode_t mode) {
  auto file = OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  ASSERT_OK(file);
  EXPECT_OK(WriteAll(file->get(), text));
  EXPECT_EQ(::fchmod(file->get(), mode), 0);
}

void OciTest::SetUp() {
  if (!IsRoot()) GTEST_SKIP() << "needs root";
  if (Cgroup2Mount().empty()) GTEST_SKIP() << "needs a cgroup2 mount";
  directory_ = std::make_unique<TemporaryDirectory>();
  group_ = "/fermata-oci-test-" + std::to_string(::getpid()) + "-" + std::to_string(++serial);
  MakeBusyboxRoot(Path("bundle/rootfs"));
  fs::create_symlink("busybox", InRoot("bin/stty"));
  fs::create_directory(root_directory());
  config = kConfig;
  config["linux"]["cgroupsPath"] = group_;
  before_ = Look();
}

void OciTest::TearDown() {
  if (directory_ == nullptr) return;
  KillAll();
  EXPECT_EQ(Look(), before_);
}

// What a test left is removed as a user would; what then is still there, by force.
void OciTest::KillAll() {
  const Words ids = [&] {
    Words names;
    for (const auto& entry : fs::directory_iterator(root_directory())) names.push_back(entry.path().filename());
    return names;
  }();
  for (const std::string& id : ids) {
    const Outcome removed = Oci({"delete", "--force", id});
    EXPECT_EQ(removed.code, 0) << removed.err;
  }
  for (const std::string& group : Look().groups) {
    (void)WriteControl(AT_FDCWD, group + "/cgroup.kill", "1");
    ADD_FAILURE() << "left: " << group;
    for (int tries = 0; tries < 200 && ::rmdir(group.c_str()) != 0 && errno == EBUSY; ++tries) ::usleep(10'000);
  }
}

Remains OciTest::Look() const {
  Remains remains;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(*directory_ / "") != std::string::npos) remains.mounts.push_back(line);
  }
  const std::string base = Cgroup2Mount();
  for (const std::string& name : NamesBelow(base, true)) {
    if (!name.starts_with(base + group_)) continue;
    remains.groups.push_back(name);
    std::ifstream processes(name + "/cgroup.procs");
    for (std::string pid; std::getline(processes, pid);) remains.processes.push_back(pid);
  }
  remains.files = NamesBelow(root_directory(), false);
  for (const std::string& name : NamesBelow("/proc/self/fd", false)) {
    std::error_code ignored;
    const std::string target = fs::read_symlink(name, ignored);
    if (!target.empty() && target.find("/proc/") == std::string::npos) remains.descriptors.push_back(target);
  }
  std::ranges::sort(remains.descriptors);
  return remains;
}

Result<SpawnedProcess> OciTest::Begin(const Words& arguments, int in, int out, int err, const std::vector<int>& extra) {
  SpawnOptions options;
  options.executable = FERMATA_BIN_DIR "/fermata-oci";
  options.arguments = {"fermata-oci", "--root", root_directory()};
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  options.environment = {"PATH=/usr/bin:/bin"};
  options.fds = {{in, 0}, {out, 1}, {err, 2}};
  for (size_t i = 0; i < extra.size(); ++i) options.fds.emplace_back(extra[i], static_cast<int>(3 + i));
  return Spawn(options);
}

Outcome OciTest::Oci(const Words& arguments, const std::vector<int>& extra) {
  const UniqueFd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd out(::memfd_create("out", MFD_CLOEXEC));
  const UniqueFd err(::memfd_create("err", MFD_CLOEXEC));
  const auto process = Begin(arguments, in.get(), out.get(), err.get(), extra);
  if (!process) {
    ADD_FAILURE() << process.error().message();
    return {};
  }
  if (!process->pidfd.WaitExited(kDeadlineMs)) {
    ADD_FAILURE() << "takes too long: " << ::testing::PrintToString(arguments);
    (void)process->pidfd.Signal(SIGKILL);
  }
  Outcome outcome;
  const auto code = Reap(process->pidfd);
  outcome.code = code ? *code : -1;
  outcome.out = TextOf(out.get());
  outcome.err = TextOf(err.get());
  return outcome;
}

void OciTest::WriteConfig() { Spill(Path("bundle/config.json"), config.dump()); }

Outcome OciTest::Create(const Words& more, const std::string& id) {
  WriteConfig();
  Words arguments = {"create", "--bundle", Path("bundle")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.push_back(id);
  return Oci(arguments);
}

Outcome OciTest::RunScript(const std::string& script, const Words& more) {
  SetScript(script);
  WriteConfig();
  Words arguments = {"run", "--bundle", Path("bundle")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.emplace_back("c");
  return Oci(arguments);
}

void OciTest::StartSleeper(const std::string& id) {
  config["process"]["args"] = {"sleep", "1000"};
  const Outcome created = Create({}, id);
  ASSERT_EQ(created.code, 0) << created.err;
  const Outcome started = Oci({"start", id});
  ASSERT_EQ(started.code, 0) << started.err;
}

std::string OciTest::StatusOf(const std::string& id) {
  const Outcome outcome = Oci({"state", id});
  if (outcome.code != 0) return outcome.err;
  return Json::parse(outcome.out).at("status");
}

pid_t OciTest::PidOf(const std::string& id) {
  const Outcome outcome = Oci({"state", id});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return outcome.code == 0 ? Json::parse(outcome.out).at("pid").get<pid_t>() : -1;
}

void OciTest::AwaitEnd(const std::string& id) {
  const pid_t pid = PidOf(id);
  if (pid == 0) return;
  const auto process = Pidfd::Open(pid);
  EXPECT_TRUE(!process || process->WaitExited(kDeadlineMs));
}

void OciTest::MakeFifo(const std::string& name) {
  ASSERT_EQ(::mkfifo(InRoot(name).c_str(), 0600), 0);
  ASSERT_EQ(::chmod(InRoot(name).c_str(), 0666), 0);
}

std::string OciTest::ReadFifo(const std::string& name) {
  auto fifo = OpenAt(AT_FDCWD, InRoot(name), O_RDWR);
  if (!fifo) return fifo.error().message();
  std::string line;
  for (char byte = 0; byte != '\n';) {
    pollfd ready{fifo->get(), POLLIN, 0};
    if (::poll(&ready, 1, kDeadlineMs) != 1 || ::read(fifo->get(), &byte, 1) != 1) return "nothing came: " + line;
    if (byte != '\n') line += byte;
  }
  return line;
}

}  // namespace fermata::testing
