// `fermata run` and `fermata logs`.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "cri/cli/apply.h"
#include "cri/cli/commands.h"
#include "cri/cli/follow.h"
#include "cri/cli/manifest_file.h"
#include "cri/cli/wait.h"
#include "runtime/base/file.h"

namespace fermata::cri::cli {
namespace {

constexpr int kInterrupted = 130;  // what a shell reports for Ctrl-C

std::vector<std::string> ContainerNames(const fv1::ApplyResponse& applied) {
  std::vector<std::string> names;
  const auto add = [&](const fv1::ContainerStatus& container) {
    if (std::find(names.begin(), names.end(), container.name()) == names.end()) names.push_back(container.name());
  };
  for (const fv1::PodStatus& pod : applied.pods()) {
    for (const fv1::ContainerStatus& container : pod.init_containers()) add(container);
    for (const fv1::ContainerStatus& container : pod.containers()) add(container);
  }
  return names;
}

Result<> StopPod(const Client& client, const std::string& id, bool at_once) {
  grpc::ClientContext context;
  fv1::StopPodRequest request;
  fv1::StopPodResponse response;
  request.set_pod(id);
  if (at_once) request.set_grace_seconds(0);
  return ToResult(client.pods->Stop(&context, request, &response));
}

// The pods of one `run`: their log threads, and what Ctrl-C does to them.
class ForegroundRun {
 public:
  ForegroundRun(const Client& client, const fv1::ApplyResponse& applied)
      : client_(client),
        applied_(applied),
        printer_(PrefixedLines(ContainerNames(applied), UseColour(STDOUT_FILENO)), false),
        finished_(::eventfd(0, EFD_CLOEXEC)) {}

  // Returns when all pods are over; true if that was asked for by a signal.
  bool Wait() {
    std::vector<std::thread> threads;
    for (const fv1::PodStatus& pod : applied_.pods()) {
      fv1::LogsRequest request;
      request.set_pod(pod.id());
      request.set_follow(true);
      // From the first start on: a container may have been started again before we come to reading.
      for (const fv1::ContainerStatus& container : pod.containers()) {
        request.add_resume()->set_container(container.name());
      }
      for (const fv1::ContainerStatus& container : pod.init_containers()) {
        request.add_resume()->set_container(container.name());
      }
      threads.emplace_back([this, request] {
        if (auto followed = FollowLogs(client_, request, printer_); !followed) {
          std::cerr << "fermata: " << followed.error().message() << "\n";
        }
        const uint64_t one = 1;
        (void)!::write(finished_.get(), &one, sizeof one);
      });
    }
    WaitForEnd();
    for (std::thread& thread : threads) thread.join();
    for (std::thread& thread : stops_) thread.join();
    return signals_ > 0;
  }

 private:
  void WaitForEnd() {
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGINT);
    ::sigaddset(&mask, SIGTERM);
    const UniqueFd signals(::signalfd(-1, &mask, SFD_CLOEXEC));
    uint64_t ended = 0;
    while (ended < static_cast<uint64_t>(applied_.pods_size())) {
      pollfd wait[2] = {{signals.get(), POLLIN, 0}, {finished_.get(), POLLIN, 0}};
      if (::poll(wait, 2, -1) < 0) continue;
      if (wait[0].revents != 0) {
        signalfd_siginfo info;
        (void)!::read(signals.get(), &info, sizeof info);
        OnSignal();
      }
      uint64_t count = 0;
      if (wait[1].revents != 0 && ::read(finished_.get(), &count, sizeof count) == sizeof count) ended += count;
    }
  }

  // The first one stops gracefully, the second one at once.
  void OnSignal() {
    ++signals_;
    std::cerr << (signals_ == 1 ? "\nfermata: stopping; once more to kill\n" : "\nfermata: killing\n");
    for (const fv1::PodStatus& pod : applied_.pods()) {
      stops_.emplace_back([this, id = pod.id(), at_once = signals_ > 1] {
        if (auto stopped = StopPod(client_, id, at_once); !stopped) {
          std::cerr << "fermata: " << stopped.error().message() << "\n";
        }
      });
    }
  }

  const Client& client_;
  const fv1::ApplyResponse& applied_;
  LogPrinter printer_;
  UniqueFd finished_;
  std::vector<std::thread> stops_;
  int signals_ = 0;
};

// 0 when all pods succeeded, else the exit code of the first container that did not.
Result<int> FinalStatus(const Client& client, const fv1::ApplyResponse& applied) {
  grpc::ClientContext context;
  fv1::ListPodsResponse pods;
  RETURN_IF_ERROR(ToResult(client.pods->List(&context, {}, &pods)));
  int status = 0;
  for (const fv1::PodStatus& pod : pods.pods()) {
    const bool ours = std::any_of(applied.pods().begin(), applied.pods().end(),
                                  [&](const fv1::PodStatus& mine) { return mine.id() == pod.id(); });
    if (!ours) continue;
    std::vector<fv1::ContainerStatus> containers(pod.init_containers().begin(), pod.init_containers().end());
    std::erase_if(containers, [](const fv1::ContainerStatus& container) { return container.sidecar(); });
    containers.insert(containers.end(), pod.containers().begin(), pod.containers().end());
    for (const fv1::ContainerStatus& container : containers) {
      if (container.exit_code() == 0) continue;
      std::cerr << "fermata: " << Printable(container.name()) << " ended with " << container.exit_code()
                << (container.reason().empty() ? "" : " (" + container.reason() + ")")
                << (container.message().empty() ? "" : ": " + Printable(container.message())) << "\n";
      if (status == 0) status = container.exit_code();
    }
  }
  return status;
}

void RemovePods(const Client& client, const fv1::ApplyResponse& applied) {
  for (const fv1::PodStatus& pod : applied.pods()) {
    grpc::ClientContext context;
    fv1::RemovePodRequest request;
    fv1::RemovePodResponse response;
    request.set_pod(pod.id());
    request.set_force(true);
    if (auto removed = ToResult(client.pods->Remove(&context, request, &response)); !removed) {
      std::cerr << "fermata: remove " << Printable(pod.name()) << ": " << Printable(removed.error().message()) << "\n";
    }
  }
}

}  // namespace

Result<int> Run(const Global& global, const RunOptions& options) {
  if (!options.wait.empty() && !options.detach) {
    return Error::Make(ErrorCode::kInvalidArgument, "--wait is for pods that are left running; give -d too");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadManifest(options.file));
  // Signals are for WaitForEnd; blocked before any thread exists.
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGINT);
  ::sigaddset(&mask, SIGTERM);
  if (!options.detach) ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  const auto existing = options.replace ? fv1::ApplyRequest::REPLACE : fv1::ApplyRequest::REFUSE;
  ASSIGN_OR_RETURN(const fv1::ApplyResponse applied, SendManifest(client, text, options, existing));
  if (options.dry_run) return PrintPlanned(global, applied);
  if (options.detach) {
    for (const fv1::PodStatus& pod : applied.pods()) std::cout << pod.id() << "\n" << std::flush;
    return WaitForPods(client, applied, options);
  }
  ForegroundRun run(client, applied);
  const bool interrupted = run.Wait();
  ASSIGN_OR_RETURN(const int status, interrupted ? Result<int>(kInterrupted) : FinalStatus(client, applied));
  if (!options.keep) RemovePods(client, applied);
  return status;
}

Result<int> Logs(const Global& global, const LogsOptions& options) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ListPodsRequest list;
  fv1::ListPodsResponse pods;
  list.set_all(true);
  RETURN_IF_ERROR(ToResult(client.pods->List(&context, list, &pods)));
  std::vector<std::string> names;
  for (const fv1::PodStatus& pod : pods.pods()) {
    if (pod.name() != options.pod && !pod.id().starts_with(options.pod) &&
        pod.namespace_() + "/" + pod.name() != options.pod)
      continue;
    for (const fv1::ContainerStatus& container : pod.init_containers()) names.push_back(container.name());
    for (const fv1::ContainerStatus& container : pod.containers()) names.push_back(container.name());
  }
  if (!options.container.empty()) names.clear();
  fv1::LogsRequest request;
  request.set_pod(options.pod);
  request.set_container(options.container);
  request.set_follow(options.follow);
  request.set_tail_lines(options.tail);
  request.set_previous(options.previous);
  if (options.since_seconds > 0) {
    const auto since = std::chrono::system_clock::now() - std::chrono::seconds(options.since_seconds);
    request.set_since_unix_nanos(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since.time_since_epoch()).count());
  }
  LogPrinter printer(PrefixedLines(std::move(names), UseColour(STDOUT_FILENO)), options.timestamps);
  RETURN_IF_ERROR(FollowLogs(client, request, printer));
  return 0;
}

}  // namespace fermata::cri::cli
