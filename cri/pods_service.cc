#include "cri/pods_service.h"

#include <poll.h>

#include <algorithm>

#include "cri/lookup.h"
#include "cri/planned_pod.h"
#include "cri/pod_messages.h"
#include "cri/server.h"
#include "sandbox/pods/log_follower.h"

namespace fermata::cri {
namespace {

using sandbox::pods::ChangeNotifier;
using sandbox::pods::ContainerView;
using sandbox::pods::LogFollower;
using sandbox::pods::LogLine;
using sandbox::pods::PodView;

constexpr Visibility kEverything{.cri = true, .pods = true};

sandbox::pods::Existing ExistingOf(fv1::ApplyRequest::Existing existing) {
  switch (existing) {
    case fv1::ApplyRequest::REPLACE:
      return sandbox::pods::Existing::kReplace;
    case fv1::ApplyRequest::CHANGE:
      return sandbox::pods::Existing::kKeep;
    case fv1::ApplyRequest::CHANGE_OR_REPLACE:
      return sandbox::pods::Existing::kReplaceIfOther;
    default:
      return sandbox::pods::Existing::kRefuse;
  }
}

}  // namespace

std::chrono::seconds PodsService::IdleTime() const {
  if (clients_ > 0 || !engine_.store->Sandboxes().empty()) last_seen_ = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - last_seen_.load());
}

void PodsService::EndStreams() {
  ending_ = true;
  pods_.changes().Notify();
  pods_.events().changes().Notify();
}

Result<sandbox::SandboxId> PodsService::Find(const std::string& pod) const {
  using sandbox::SandboxState;
  std::vector<sandbox::SandboxPtr> found;
  for (const sandbox::SandboxPtr& record : engine_.store->Sandboxes()) {
    const sandbox::SandboxSpec& spec = record->spec;
    if (record->state == SandboxState::kCreating) continue;
    if (pod == spec.name || pod == spec.name_space + "/" + spec.name) found.push_back(record);
  }
  // Of attempts at one pod, the one that runs is meant.
  const auto runs = [](const sandbox::SandboxPtr& record) { return record->state == SandboxState::kReady; };
  const bool one_pod = std::ranges::all_of(
      found, [&](const sandbox::SandboxPtr& record) { return record->spec.name_space == found[0]->spec.name_space; });
  if (one_pod && std::ranges::count_if(found, runs) == 1) return (*std::ranges::find_if(found, runs))->id;
  if (found.size() > 1) {
    std::string ids;
    for (const auto& record : found) ids += (ids.empty() ? "" : ", ") + record->id.str().substr(0, 12);
    return Error::Make(ErrorCode::kInvalidArgument, "pod ", pod, " is ambiguous: ", ids, "; give the id");
  }
  if (!found.empty()) return found.front()->id;
  ASSIGN_OR_RETURN(const sandbox::SandboxPtr record, FindSandbox(*engine_.store, pod, kEverything));
  if (record == nullptr) return Error::Make(ErrorCode::kNotFound, "pod ", pod, " does not exist; see: fermata pods");
  return record->id;
}

Result<sandbox::ContainerPtr> PodsService::FindRunning(const sandbox::SandboxId& pod, const std::string& name) const {
  ASSIGN_OR_RETURN(const PodView view, pods_.View(pod));
  std::string names;
  for (const ContainerView& container : view.All()) names += (names.empty() ? "" : ", ") + container.name;
  if (name.empty() && view.containers.size() > 1) {
    return Error::Make(ErrorCode::kInvalidArgument, "pod ", view.sandbox->spec.name, " has several containers: ", names,
                       "; choose one with -c");
  }
  for (const ContainerView& container : view.All()) {
    const bool chosen = name.empty() ? container.kind == sandbox::pods::ContainerKind::kMain : container.name == name;
    if (container.newest != nullptr && chosen) return container.newest;
  }
  return Error::Make(ErrorCode::kNotFound, "pod ", view.sandbox->spec.name, " has no container ", name,
                     "; it has: ", names);
}

grpc::ServerUnaryReactor* PodsService::Apply(grpc::CallbackServerContext*, const fv1::ApplyRequest* request,
                                             fv1::ApplyResponse* response) {
  return new LongCall("Pods.Apply", engine_.tasks, [=, this](const LongCall::Cancellation& cancellation) -> Result<> {
    const Client present(*this);
    const sandbox::pods::PodEngine::ApplyRequest apply{request->manifest(), request->file_name(),
                                                       request->allow_ignored(), ExistingOf(request->existing())};
    std::vector<std::string> ignored;
    ASSIGN_OR_RETURN(auto planned, pods_.Check(apply, ignored));
    response->mutable_ignored()->Assign(ignored.begin(), ignored.end());
    if (request->dry_run()) {
      for (const sandbox::pods::PodManifest& pod : planned.pods) FillPlanned(pod, *response->add_planned());
    } else {
      ASSIGN_OR_RETURN(planned.changes, pods_.Apply(apply, cancellation));
      for (const sandbox::pods::PodChange& change : planned.changes) {
        ASSIGN_OR_RETURN(const PodView view, pods_.View(change.id));
        FillStatus(view, *response->add_pods());
      }
    }
    if (apply.existing == sandbox::pods::Existing::kRefuse) return {};
    for (size_t i = 0; i < planned.changes.size(); ++i) {
      FillChange(planned.changes[i], planned.pods[i].sandbox, *response->add_changes());
    }
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::List(grpc::CallbackServerContext* context, const fv1::ListPodsRequest* request,
                                            fv1::ListPodsResponse* response) {
  return ServeNow("Pods.List", context, [&]() -> Result<> {
    const Client present(*this);
    for (const PodView& view : pods_.List(request->all())) FillAll(view, *response->add_pods());
    if (manifests_ == nullptr) return {};
    for (const auto& file : manifests_->Files()) {
      if (!file.error.empty()) FillFile(file, *response->add_broken_files());
    }
    return {};
  });
}

grpc::ServerWriteReactor<fv1::PodStatus>* PodsService::Watch(grpc::CallbackServerContext*,
                                                             const fv1::WatchPodRequest* request) {
  using Writer = StreamWriter<fv1::PodStatus>;
  return new Writer("Pods.Watch", engine_.tasks, [this, pod = request->pod()](Writer& writer) -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(pod));
    const ChangeNotifier::Listener listener(pods_.changes());
    writer.OnGone([&listener] { listener.Wake(); });
    std::string last;
    while (!writer.cancelled() && !ending_) {
      listener.Clear();
      const auto view = pods_.View(id);
      if (!view) break;
      fv1::PodStatus status;
      FillStatus(*view, status);
      if (std::string text = status.SerializeAsString(); text != last) {
        last = std::move(text);
        if (!writer.Write(status)) break;
      }
      pollfd wait{listener.fd(), POLLIN, 0};
      (void)::poll(&wait, 1, -1);
    }
    writer.OnGone({});
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::Stop(grpc::CallbackServerContext* context, const fv1::StopPodRequest* request,
                                            fv1::StopPodResponse*) {
  return Serve("Pods.Stop", context, engine_.tasks, [=, this]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    std::optional<std::chrono::seconds> grace;
    if (request->has_grace_seconds()) grace = std::chrono::seconds(request->grace_seconds());
    return pods_.Stop(id, grace);
  });
}

grpc::ServerUnaryReactor* PodsService::Restart(grpc::CallbackServerContext*, const fv1::RestartPodRequest* request,
                                               fv1::RestartPodResponse* response) {
  return new LongCall("Pods.Restart", engine_.tasks, [=, this](const LongCall::Cancellation& cancellation) -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    std::optional<std::chrono::seconds> grace;
    if (request->has_grace_seconds()) grace = std::chrono::seconds(request->grace_seconds());
    ASSIGN_OR_RETURN(const sandbox::SandboxId fresh, pods_.Restart(id, grace, cancellation));
    response->set_id(fresh.str());
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::Remove(grpc::CallbackServerContext* context,
                                              const fv1::RemovePodRequest* request, fv1::RemovePodResponse*) {
  return Serve("Pods.Remove", context, engine_.tasks, [=, this]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    return pods_.Remove(id, request->force());
  });
}

Result<> PodsService::CheckPrevious(const sandbox::SandboxId& pod, const sandbox::pods::LogOptions& options) const {
  if (!options.previous) return {};
  if (options.follow) return Error::Make(ErrorCode::kInvalidArgument, "what is over cannot be followed");
  ASSIGN_OR_RETURN(const PodView view, pods_.View(pod));
  for (const ContainerView& container : view.All()) {
    const bool asked = options.container.empty() || options.container == container.name;
    if (asked && container.newest != nullptr && container.newest->spec.attempt > 0) return {};
  }
  return Error::Make(ErrorCode::kNotFound, "nothing was before: no container has been started again");
}

grpc::ServerWriteReactor<fv1::LogRecord>* PodsService::Logs(grpc::CallbackServerContext*,
                                                            const fv1::LogsRequest* request) {
  using Writer = StreamWriter<fv1::LogRecord>;
  sandbox::pods::LogOptions options{request->container(),        request->follow(),   request->tail_lines(),
                                    request->since_unix_nanos(), request->previous(), {}};
  for (const fv1::LogPosition& position : request->resume()) {
    options.resume[position.container()] = {position.attempt(), position.offset()};
  }
  return new Writer("Pods.Logs", engine_.tasks, [this, pod = request->pod(), options](Writer& writer) -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(pod));
    if (!options.container.empty()) RETURN_IF_ERROR(FindRunning(id, options.container));
    RETURN_IF_ERROR(CheckPrevious(id, options));
    const ChangeNotifier::Listener listener(pods_.changes());
    writer.OnGone([&listener] { listener.Wake(); });
    LogFollower follower(pods_, id, options);
    Result<> done = follower.Run(
        listener, [&] { return writer.cancelled() || ending_; },
        [&](const LogLine& line) {
          fv1::LogRecord record;
          record.set_container(line.container);
          record.set_time_unix_nanos(line.time_ns);
          record.set_is_stderr(line.is_stderr);
          record.set_partial(line.partial);
          record.set_content(line.content);
          record.mutable_next()->set_container(line.container);
          record.mutable_next()->set_attempt(line.attempt);
          record.mutable_next()->set_offset(line.end_offset);
          record.set_position_only(line.position_only);
          return writer.Write(record);
        });
    writer.OnGone({});
    // Not the end of the pod: the client is to come again.
    if (done && ending_) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
    return done;
  });
}

grpc::ServerUnaryReactor* PodsService::Exec(grpc::CallbackServerContext* context, const fv1::ExecRequest* request,
                                            fv1::ExecResponse* response) {
  return Serve("Pods.Exec", context, engine_.tasks, [=, this]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr container, FindRunning(id, request->container()));
    ASSIGN_OR_RETURN(runtime::ExecResult result,
                     containers_.ExecSync(container->id, {request->command().begin(), request->command().end()},
                                          std::chrono::seconds(request->timeout_seconds())));
    response->set_stdout(std::move(result.output[0]));
    response->set_stderr(std::move(result.output[1]));
    response->set_exit_code(result.exit_code);
    return {};
  });
}

}  // namespace fermata::cri
