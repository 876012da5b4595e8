#include "sandbox/network/cni_plugin.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "runtime/base/error_word.h"
#include "runtime/base/file.h"
#include "runtime/base/memfd.h"
#include "runtime/base/metrics.h"
#include "runtime/base/operation.h"
#include "runtime/base/spawn.h"
#include "sandbox/network/cni_config.h"
#include "sandbox/network/cni_result.h"

namespace fermata::sandbox {
namespace {

metrics::Family runs(metrics::Kind::kHistogram, "fermata_cni_operation_duration_seconds",
                     "Time of runs of CNI plugins, by result: ok, or why not", {"plugin", "verb", "result"});

constexpr size_t kMaxOutput = size_t{1} << 20;
constexpr size_t kMaxDiagnostics = size_t{64} << 10;
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Program {
  UniqueFd fd;
  std::string path;
  bool script = false;  // its interpreter has to open it by name
};

// Nobody but root may have put the plugin there (CVE-2021-20206 is the one with "../").
Result<> CheckOwner(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::Errno("stat ", path);
  if (status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return Error::Make(ErrorCode::kFailedPrecondition, path, " may be written by others than root");
}

Result<Program> FindProgram(const std::vector<std::string>& directories, const std::string& type) {
  if (!IsCniPluginType(type)) return Error::Make(ErrorCode::kInvalidArgument, "no plain name");
  for (const std::string& directory : directories) {
    const auto opened = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!opened) continue;
    auto file = OpenAt(opened->get(), type, O_RDONLY);
    if (!file && file.error().saved_errno() == ENOENT) continue;
    if (!file) return std::move(file).error();
    RETURN_IF_ERROR(CheckOwner(opened->get(), directory));
    Program program{std::move(*file), directory + "/" + type};
    RETURN_IF_ERROR(CheckOwner(program.fd.get(), program.path));
    std::array<char, 2> start{};
    program.script =
        ::pread(program.fd.get(), start.data(), start.size(), 0) == 2 && start[0] == '#' && start[1] == '!';
    return program;
  }
  return Error::Make(ErrorCode::kNotFound, "no such plugin in the configured directories");
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ":") + word;
  return text;
}

// The process with its two outputs. Killed, with its whole session, and reaped at the latest by the destructor.
class Execution {
 public:
  Execution(SpawnedProcess process, UniqueFd out, UniqueFd err) : process_(std::move(process)) {
    streams_[0] = {std::move(out), {}, kMaxOutput};
    streams_[1] = {std::move(err), {}, kMaxDiagnostics};
  }
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution() {
    if (reaped_) return;
    (void)::kill(-process_.pid, SIGKILL);                             // its number is its session's until it is reaped
    (void)process_.pidfd.Signal(SIGKILL);                             // fails for a process that has ended
    if (process_.pidfd.WaitExited(1000)) (void)Reap(process_.pidfd);  // else it is in an uninterruptible sleep
  }

  Result<int> Wait(std::chrono::steady_clock::time_point deadline, int cancelled) {
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      if (left <= 0) return Error::Make(ErrorCode::kDeadlineExceeded, "no answer in time, so it was killed");
      std::array<pollfd, 4> entries = {{{streams_[0].fd.get(), POLLIN, 0},
                                        {streams_[1].fd.get(), POLLIN, 0},
                                        {process_.pidfd.get(), POLLIN, 0},
                                        {cancelled, POLLIN, 0}}};
      const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(left));
      if (ready < 0 && errno != EINTR) return Error::Errno("poll");
      if (ready <= 0) continue;
      if (entries[3].revents != 0) return Error::Make(ErrorCode::kCancelled, "the daemon ends");
      for (Stream& stream : streams_) RETURN_IF_ERROR(Drain(stream));
      if (entries[2].revents == 0) continue;
      for (Stream& stream : streams_) RETURN_IF_ERROR(Drain(stream));  // what it wrote before it ended
      (void)::kill(-process_.pid, SIGKILL);                            // what it left behind, before its number is free
      reaped_ = true;
      return Reap(process_.pidfd);
    }
  }
  [[nodiscard]] std::string& out() { return streams_[0].text; }
  [[nodiscard]] const std::string& err() const { return streams_[1].text; }

 private:
  struct Stream {
    UniqueFd fd;  // -1: at its end
    std::string text;
    size_t limit = 0;
  };

  // All that is there now. Too much on standard output ends the plugin, on standard error it is dropped.
  Result<> Drain(Stream& stream) {
    std::array<char, 16384> buffer;
    while (stream.fd.valid()) {
      const ssize_t count = ::read(stream.fd.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return {};
      if (count <= 0) {
        stream.fd.Reset();
        return {};
      }
      const size_t room = stream.limit - stream.text.size();
      if (&stream == streams_.data() && static_cast<size_t>(count) > room) {
        return Error::Make(ErrorCode::kInternal, "printed more than 1 MiB, so it was killed");
      }
      stream.text.append(buffer.data(), std::min(room, static_cast<size_t>(count)));
      if (room == 0) return {};  // others get their turn, and the deadline
    }
    return {};
  }

  SpawnedProcess process_;
  std::array<Stream, 2> streams_;
  bool reaped_ = false;
};

struct Pipe {
  UniqueFd reader, writer;
};

Result<Pipe> OutputPipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::Errno("pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK) != 0) return Error::Errno("fcntl");
  return pipe;
}

}  // namespace

Result<std::string> CniPlugins::Run(const std::string& type, const CniCall& call, const std::string& config) const {
  const auto begin = std::chrono::steady_clock::now();
  auto output = RunProgram(type, call, config);
  const std::string plugin = Printable(type, 64);
  runs.With({plugin, call.command, output ? "ok" : ErrorWord(output.error().code())})
      .Observe(std::chrono::steady_clock::now() - begin);
  return output;
}

Result<std::string> CniPlugins::RunProgram(const std::string& type, const CniCall& call,
                                           const std::string& config) const {
  const std::string what = "CNI plugin " + Printable(type, 64) + " " + call.command;
  ASSIGN_OR_RETURN(const Program program, FindProgram(directories_, type), what);
  const OperationStage stage(what, program.path);
  std::unique_ptr<overlay::HelperGroup> group;  // its end ends what is left in it
  if (make_group_) {
    ASSIGN_OR_RETURN(group, make_group_(), what);
  }
  ASSIGN_OR_RETURN(const UniqueFd input, SealedData("cni-config", config), what);
  if (::lseek(input.get(), 0, SEEK_SET) != 0) return Error::Errno(what, ": rewind its configuration");
  ASSIGN_OR_RETURN(Pipe out, OutputPipe(), what);
  ASSIGN_OR_RETURN(Pipe err, OutputPipe(), what);
  SpawnOptions options;
  if (program.script) {
    options.executable = program.path;
  } else {
    options.executable_fd = program.fd.get();
  }
  options.arguments = {program.path};
  options.environment = {kPath,
                         "CNI_COMMAND=" + call.command,
                         "CNI_CONTAINERID=" + call.container_id,
                         "CNI_NETNS=" + call.netns,
                         "CNI_IFNAME=" + call.interface,
                         "CNI_ARGS=" + call.args,
                         "CNI_PATH=" + Joined(directories_)};
  options.fds = {{input.get(), 0}, {out.writer.get(), 1}, {err.writer.get(), 2}};
  options.cgroup_fd = group != nullptr ? group->fd() : -1;
  ASSIGN_OR_RETURN(SpawnedProcess process, Spawn(options), what);
  Execution execution(std::move(process), std::move(out.reader), std::move(err.reader));
  out.writer.Reset();
  err.writer.Reset();
  ASSIGN_OR_RETURN(const int status, execution.Wait(call.deadline, cancelled_), what);
  if (status == 0) return std::move(execution.out());
  return CniFailure(execution.out(), execution.err(), status).Wrap(what);
}

}  // namespace fermata::sandbox
