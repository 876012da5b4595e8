// Exec, Attach and PortForward: check, and give the URL to come to. What follows is between the client and streaming/.
#include "cri/runtime_service.h"
#include "cri/server.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri {
namespace {

constexpr int kMaxPorts = 64;

Error Invalid(std::string_view what) { return {ErrorCode::kInvalidArgument, std::string(what)}; }

template <typename Request>
Result<streaming::StreamRequest> ReadStreams(const Request& request) {
  if (request.container_id().empty()) return Invalid("container_id is empty");
  if (!request.stdin() && !request.stdout() && !request.stderr()) {
    return Invalid("one of stdin, stdout and stderr must be set");
  }
  if (request.tty() && request.stderr()) return Invalid("tty and stderr cannot both be set: a terminal has one output");
  streaming::StreamRequest stream;
  stream.tty = request.tty();
  stream.want_stdin = request.stdin();
  stream.want_stdout = request.stdout();
  stream.want_stderr = request.stderr();
  return stream;
}

Result<> ReadCommand(const v1::ExecRequest& request, streaming::StreamRequest& stream) {
  if (request.cmd().empty()) return Invalid("cmd is empty");
  size_t bytes = 0;
  for (const std::string& word : request.cmd()) {
    if (word.find('\0') != std::string::npos) return Invalid("cmd: NUL byte in a string");
    bytes += word.size() + 1;
  }
  if (bytes > sandbox::kMaxArgumentBytes) return Invalid("cmd is too long");
  stream.command = {request.cmd().begin(), request.cmd().end()};
  return {};
}

}  // namespace

grpc::ServerUnaryReactor* RuntimeService::Exec(grpc::CallbackServerContext* context, const v1::ExecRequest* request,
                                               v1::ExecResponse* response) {
  return ServeNow("Exec", context, [&]() -> Result<> {
    ASSIGN_OR_RETURN(streaming::StreamRequest stream, ReadStreams(*request));
    RETURN_IF_ERROR(ReadCommand(*request, stream));
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    RETURN_IF_ERROR(containers_.CheckRunning(found->id));
    stream.method = streaming::Method::kExec;
    stream.container = found->id;
    ASSIGN_OR_RETURN(*response->mutable_url(), streams_.UrlFor(std::move(stream)));
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::Attach(grpc::CallbackServerContext* context, const v1::AttachRequest* request,
                                                 v1::AttachResponse* response) {
  return ServeNow("Attach", context, [&]() -> Result<> {
    ASSIGN_OR_RETURN(streaming::StreamRequest stream, ReadStreams(*request));
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    RETURN_IF_ERROR(containers_.CheckAttach(found->id, request->tty()));
    stream.method = streaming::Method::kAttach;
    stream.container = found->id;
    ASSIGN_OR_RETURN(*response->mutable_url(), streams_.UrlFor(std::move(stream)));
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::PortForward(grpc::CallbackServerContext* context,
                                                      const v1::PortForwardRequest* request,
                                                      v1::PortForwardResponse* response) {
  return ServeNow("PortForward", context, [&]() -> Result<> {
    if (request->pod_sandbox_id().empty()) return Invalid("pod_sandbox_id is empty");
    if (request->port_size() > kMaxPorts) return Invalid("more than 64 ports");
    streaming::StreamRequest stream;
    stream.method = streaming::Method::kPortForward;
    for (const int port : request->port()) {
      if (port <= 0 || port > UINT16_MAX) return Invalid("port " + std::to_string(port) + " is not from 1 to 65535");
      stream.ports.push_back(static_cast<uint16_t>(port));
    }
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr found, GetSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    RETURN_IF_ERROR(sandbox::CheckReady(engine_, found->id));
    stream.sandbox = found->id;
    ASSIGN_OR_RETURN(*response->mutable_url(), streams_.UrlFor(std::move(stream)));
    return {};
  });
}

}  // namespace fermata::cri
