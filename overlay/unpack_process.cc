#include "overlay/unpack_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "overlay/unpacker/messages.h"
#include "runtime/base/file.h"
#include "runtime/base/memfd.h"
#include "runtime/base/spawn.h"

namespace fermata::overlay {
namespace {

constexpr size_t kFeedBytes = size_t{256} << 10;

struct Pipe {
  UniqueFd reader, writer;
};

Result<Pipe> MakePipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::Errno("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Copies a source that only this process can read into a pipe, on a thread of its own. Ends when the reader has gone.
class Feeder {
 public:
  static Result<std::unique_ptr<Feeder>> Start(ByteSource& source) {
    ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    return std::unique_ptr<Feeder>(new Feeder(source, std::move(pipe)));
  }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;
  // No process may hold the reader any more.
  ~Feeder() { End(); }

  [[nodiscard]] int reader() const { return reader_.get(); }
  // To be called when the process has its copy: the end of the pipe is to be seen by the thread.
  void CloseReader() { reader_.Reset(); }
  // Waits for the end; then the failure of the source, if there was one.
  std::optional<Error> Finish() {
    End();
    thread_.join();
    return std::move(failure_);
  }

 private:
  Feeder(ByteSource& source, Pipe pipe)
      : source_(source),
        reader_(std::move(pipe.reader)),
        thread_([this, end = std::move(pipe.writer)]() mutable { Copy(std::move(end)); }) {}

  void End() {
    reader_.Reset();
    interrupted_ = true;
    source_.Interrupt();
  }

  void Copy(UniqueFd writer) {
    // The reader may go at any time; that is an error of write(2) here, not of the whole program.
    sigset_t broken_pipe;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    (void)::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    std::vector<char> buffer(kFeedBytes);
    for (;;) {
      auto count = source_.Read(buffer);
      if (!count) {
        if (!interrupted_) failure_ = std::move(count).error();
        return;
      }
      if (*count == 0 || !WriteAll(writer.get(), {buffer.data(), *count})) return;
    }
  }

  ByteSource& source_;
  UniqueFd reader_;
  std::atomic<bool> interrupted_ = false;
  std::optional<Error> failure_;  // the thread's until it is joined
  std::jthread thread_;
};

// One process: killed and reaped at the latest by the destructor.
class Process {
 public:
  explicit Process(SpawnedProcess spawned) : spawned_(std::move(spawned)) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (reaped_) return;
    (void)spawned_.pidfd.Signal(SIGKILL);  // fails for a process that has ended
    (void)Reap(spawned_.pidfd);            // fails for one that is reaped
  }
  Result<int> Wait() {
    reaped_ = true;
    return Reap(spawned_.pidfd);
  }

 private:
  SpawnedProcess spawned_;
  bool reaped_ = false;
};

Result<UniqueFd> MakeRequest(const std::optional<Extent>& extent, const LayerBlob& blob, const LayerLimits& limits) {
  UnpackRequest request{.size = blob.size_bytes, .limits = limits};
  if (extent) {
    request.seekable = extent->seekable ? 1 : 0;
    request.offset = extent->offset;
  }
  SetText(request.digest, blob.digest);
  SetText(request.diff_id, blob.diff_id);
  return SealedData("unpack-request", {reinterpret_cast<const char*>(&request), sizeof request});
}

Result<SpawnedProcess> Start(const Unpacker& unpacker, int request, int blob, const UnpackTarget& target, int report,
                             int group) {
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  SpawnOptions options;
  options.executable_fd = unpacker.program.get();
  options.arguments = {"fermata-unpack"};
  options.fds = {{null.get(), 0},     {null.get(), 1},
                 {null.get(), 2},     {request, kRequestFd},
                 {blob, kBlobFd},     {target.layer_dir, kLayerFd},
                 {report, kReportFd}, {target.frame_fd >= 0 ? target.frame_fd : null.get(), kFrameFd}};
  options.cgroup_fd = group;
  options.new_pid_namespace = true;
  return Spawn(options);
}

Error FromReport(const UnpackReport& report) {
  const bool known = report.code <= static_cast<uint32_t>(ErrorCode::kCancelled);
  return {known ? static_cast<ErrorCode>(report.code) : ErrorCode::kInternal, GetText(report.text), report.saved_errno};
}

// The process ended without a last word.
Error Death(Process& process) {
  const auto code = process.Wait();
  if (!code) return code.error();
  if (*code == 128 + SIGKILL) {
    return Error::Make(ErrorCode::kResourceExhausted, "the process was killed: over the limit of ",
                       "10 minutes of CPU time, or for want of memory");
  }
  return Error::Make(ErrorCode::kInternal, "the process ended with status ", std::to_string(*code));
}

// The last report; progress on the way starts the deadline anew.
Result<UnpackReport> AwaitReport(int reports, Process& process, std::chrono::milliseconds deadline,
                                 const Cancellation& cancellation) {
  for (;;) {
    pollfd entries[] = {{reports, POLLIN, 0}, {cancellation.fd(), POLLIN, 0}};
    const int ready = ::poll(entries, 2, static_cast<int>(deadline.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Error::Errno("poll");
    if (entries[1].revents != 0) return Error::Make(ErrorCode::kCancelled, "cancelled");
    if (ready == 0) {
      return Error::Make(ErrorCode::kDeadlineExceeded, "no progress for ", std::to_string(deadline.count() / 1000),
                         " s, so the process was killed");
    }
    UnpackReport report;
    const ssize_t count = ::read(reports, &report, sizeof report);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) return Death(process);
    if (count != sizeof report || report.magic != kUnpackMagic) {
      return Error::Make(ErrorCode::kInternal, "a damaged report of the process");
    }
    if (report.kind != ReportKind::kProgress) return report;
  }
}

Result<TreeUsage> CheckReport(const UnpackReport& report, const LayerBlob& blob) {
  if (report.kind != ReportKind::kDone) return FromReport(report);
  if (GetText(report.digest) != blob.digest || GetText(report.diff_id) != blob.diff_id) {
    return Error::Make(ErrorCode::kInvalidArgument, "the process found other digests than the image says");
  }
  return TreeUsage{report.bytes, report.inodes};
}

Result<UnpackReport> RunProcess(const Unpacker& unpacker, Feeder* feeder, const std::optional<Extent>& extent,
                                const LayerBlob& blob, const UnpackTarget& target, const Cancellation& cancellation) {
  std::unique_ptr<HelperGroup> group;
  if (unpacker.make_group) {
    ASSIGN_OR_RETURN(group, unpacker.make_group());
  }
  ASSIGN_OR_RETURN(const UniqueFd request, MakeRequest(extent, blob, target.limits));
  ASSIGN_OR_RETURN(Pipe reports, MakePipe());
  const int blob_fd = feeder != nullptr ? feeder->reader() : extent->fd;
  ASSIGN_OR_RETURN(SpawnedProcess spawned, Start(unpacker, request.get(), blob_fd, target, reports.writer.get(),
                                                 group != nullptr ? group->fd() : -1));
  Process process(std::move(spawned));
  reports.writer.Reset();  // its end of file is the end of the process
  if (feeder != nullptr) feeder->CloseReader();
  return AwaitReport(reports.reader.get(), process, unpacker.deadline, cancellation);
}

}  // namespace

Result<TreeUsage> UnpackConfined(const Unpacker& unpacker, ByteSource& source, const LayerBlob& blob,
                                 const UnpackTarget& target, const Cancellation& cancellation) {
  const auto unpack = [&]() -> Result<TreeUsage> {
    const std::optional<Extent> extent = source.extent();
    std::unique_ptr<Feeder> feeder;
    if (!extent) {
      ASSIGN_OR_RETURN(feeder, Feeder::Start(source));
    }
    const auto report = RunProcess(unpacker, feeder.get(), extent, blob, target, cancellation);
    if (feeder != nullptr) {
      // What the process makes of a stream that broke off matters less than why it did.
      if (auto failure = feeder->Finish(); failure && report && report->kind == ReportKind::kFailed) return *failure;
    }
    if (!report) return report.error();
    return CheckReport(*report, blob);
  };
  auto usage = unpack();
  if (!usage && !usage.error().message().starts_with("unpack layer")) {
    return std::move(usage).error().Wrap("unpack layer ", blob.digest);
  }
  return usage;
}

}  // namespace fermata::overlay
