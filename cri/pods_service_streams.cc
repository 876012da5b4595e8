// ExecStream, Attach and PortForward of fermata.v1: the sessions of streaming/ over gRPC.
#include "cri/bidi_stream.h"
#include "cri/pods_service.h"
#include "cri/status.h"
#include "cri/streaming/forward.h"
#include "cri/streaming/remote_command.h"
#include "runtime/base/log.h"

namespace fermata::cri {
namespace {

namespace asio = boost::asio;
using streaming::Method;
using CommandStreamBase = BidiStream<fv1::StreamInput, fv1::StreamOutput>;
using ForwardStreamBase = BidiStream<fv1::ForwardPart, fv1::ForwardPart>;

uint16_t SizeOf(uint32_t number) { return static_cast<uint16_t>(std::min<uint32_t>(number, UINT16_MAX)); }

class CommandStream;

// The session's side of the stream.
class GrpcCommand final : public streaming::RemoteCommand {
 public:
  GrpcCommand(CommandStream& stream, asio::any_io_executor executor, streaming::Backend& backend,
              streaming::StreamRequest request)
      : RemoteCommand(std::move(executor), backend, std::move(request)), stream_(&stream) {}
  void Begin() { Open(); }
  void Take(const fv1::StreamInput& input);
  void TakeEnd() { InputEnd(); }
  void TakeRoom() { Resume(); }
  void TakeLeave() {
    stream_ = nullptr;
    Leave();
  }

  [[nodiscard]] bool HasRoom() const override;
  void OnOutput(bool is_error, std::string_view data) override;

 private:
  void PauseInput(bool on) override;
  void Finish(const streaming::SessionEnd& end) override;

  CommandStream* stream_;  // nullptr: is over
};

class CommandStream final : public CommandStreamBase {
 public:
  CommandStream(const PodsService& service, asio::any_io_executor executor, streaming::Backend& backend, Method method)
      : CommandStreamBase(std::move(executor)),
        present_(service),
        service_(service),
        backend_(backend),
        method_(method) {}

  void OnMessage(const fv1::StreamInput& message) override {
    if (command_ != nullptr) return command_->Take(message);
    auto request = service_.RequestOf(message.start(), method_);
    if (!request) return EndWith(ToStatus(request.error()));
    fv1::StreamOutput started;
    started.set_started(true);
    started.set_tty(request->tty);
    Send(std::move(started), 0);
    command_ = std::make_shared<GrpcCommand>(*this, executor(), backend_, std::move(*request));
    command_->Begin();
  }
  void OnClientEnd() override {
    if (command_ == nullptr) return EndWith({grpc::StatusCode::INVALID_ARGUMENT, "the stream did not begin"});
    command_->TakeEnd();
  }
  void OnGone() override {
    if (command_ != nullptr) command_->TakeLeave();
  }
  void OnWritable() override {
    if (command_ != nullptr) command_->TakeRoom();
  }

 private:
  PodsService::Client present_;
  const PodsService& service_;
  streaming::Backend& backend_;
  Method method_;
  std::shared_ptr<GrpcCommand> command_;
};

void GrpcCommand::Take(const fv1::StreamInput& input) {
  switch (input.part_case()) {
    case fv1::StreamInput::kStdin:
      return Input(input.stdin());
    case fv1::StreamInput::kStdinEnd:
      return InputEnd();
    case fv1::StreamInput::kSize:
      return Resize(SizeOf(input.size().columns()), SizeOf(input.size().rows()));
    default:
      return;
  }
}

bool GrpcCommand::HasRoom() const { return stream_ != nullptr && stream_->HasOutRoom(); }

void GrpcCommand::OnOutput(bool is_error, std::string_view data) {
  if (stream_ == nullptr) return;
  fv1::StreamOutput output;
  (is_error ? output.mutable_stderr() : output.mutable_stdout())->assign(data);
  stream_->Send(std::move(output), data.size());
}

void GrpcCommand::PauseInput(bool on) {
  if (stream_ != nullptr) stream_->PauseReading(on);
}

void GrpcCommand::Finish(const streaming::SessionEnd& end) {
  CommandStream* stream = std::exchange(stream_, nullptr);
  if (stream == nullptr) return;
  fv1::StreamOutput last;
  last.set_ended(true);
  if (end.exit_code) {
    last.set_exit_code(*end.exit_code);
  } else {
    last.set_error(end.error);
  }
  stream->Send(std::move(last), 0);
  stream->EndWith(grpc::Status::OK);
}

class ForwardStream final : public ForwardStreamBase {
 public:
  ForwardStream(const PodsService& service, asio::any_io_executor executor, streaming::Backend& backend)
      : ForwardStreamBase(std::move(executor)), present_(service), service_(service), backend_(backend) {}

  void OnMessage(const fv1::ForwardPart& part) override;
  void OnClientEnd() override {
    if (forward_ == nullptr) return EndWith({grpc::StatusCode::INVALID_ARGUMENT, "the stream did not begin"});
    forward_->WriteEnd();
  }
  void OnGone() override {
    if (forward_ != nullptr) forward_->Close();
  }
  void OnWritable() override {
    if (forward_ != nullptr) forward_->Resume();
  }

 private:
  // What the connection tells; apart, because the stream cannot be two things that keep themselves.
  struct Client final : streaming::ForwardClient {
    explicit Client(ForwardStream& s) : stream(s) {}
    [[nodiscard]] bool HasRoom(uint32_t) const override { return stream.HasOutRoom(); }
    void OnForwardData(uint32_t, std::string_view data) override {
      fv1::ForwardPart part;
      part.set_data(data.data(), data.size());
      stream.Send(std::move(part), data.size());
    }
    void OnForwardEof(uint32_t) override {
      fv1::ForwardPart part;
      part.set_end(true);
      stream.Send(std::move(part), 0);
      stream.forward_->Close();
      stream.EndWith(grpc::Status::OK);
    }
    void OnForwardRoom(uint32_t) override { stream.PauseReading(false); }
    void OnForwardFailed(uint32_t, const std::string& why) override {
      fv1::ForwardPart part;
      part.set_error(why);
      stream.Send(std::move(part), 0);
      stream.EndWith(grpc::Status::OK);
    }
    ForwardStream& stream;
  };

  PodsService::Client present_;
  const PodsService& service_;
  streaming::Backend& backend_;
  std::shared_ptr<streaming::Forward> forward_;
  std::shared_ptr<Client> client_;  // goes with the stream, and the connection knows
};

void ForwardStream::OnMessage(const fv1::ForwardPart& part) {
  if (forward_ != nullptr) {
    forward_->Write(part.data());
    if (part.end()) forward_->WriteEnd();
    return PauseReading(forward_->waiting() > streaming::Forward::kMaxWaiting);
  }
  auto request = service_.RequestOf(part.start());
  if (!request) return EndWith(ToStatus(request.error()));
  client_ = std::make_shared<Client>(*this);
  forward_ = std::make_shared<streaming::Forward>(executor(), 0);
  forward_->Start(backend_, request->sandbox, request->ports.front(), client_);
}

}  // namespace

Result<streaming::StreamRequest> PodsService::RequestOf(const fv1::StreamStart& start, Method method) const {
  ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(start.pod()));
  ASSIGN_OR_RETURN(const sandbox::ContainerPtr container, FindRunning(id, start.container()));
  RETURN_IF_ERROR(containers_.CheckRunning(container->id));
  streaming::StreamRequest request;
  request.method = method;
  request.container = container->id;
  request.command = {start.command().begin(), start.command().end()};
  if (method == Method::kExec && request.command.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "no command");
  }
  request.tty = method == Method::kExec ? start.tty() : container->spec.tty;
  request.want_stdin = start.stdin();
  request.want_stdout = true;
  request.want_stderr = !request.tty;
  return request;
}

Result<streaming::StreamRequest> PodsService::RequestOf(const fv1::ForwardStart& start) const {
  ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(start.pod()));
  if (start.port() == 0 || start.port() > UINT16_MAX) {
    return Error::Make(ErrorCode::kInvalidArgument, "port ", std::to_string(start.port()), " is not from 1 to 65535");
  }
  RETURN_IF_ERROR(sandbox::CheckReady(engine_, id));
  streaming::StreamRequest request;
  request.method = Method::kPortForward;
  request.sandbox = id;
  request.ports = {static_cast<uint16_t>(start.port())};
  return request;
}

grpc::ServerBidiReactor<fv1::StreamInput, fv1::StreamOutput>* PodsService::ExecStream(grpc::CallbackServerContext*) {
  auto stream = std::make_shared<CommandStream>(*this, streams_.NewExecutor(), backend_, Method::kExec);
  stream->Begin();
  return stream.get();
}

grpc::ServerBidiReactor<fv1::StreamInput, fv1::StreamOutput>* PodsService::Attach(grpc::CallbackServerContext*) {
  auto stream = std::make_shared<CommandStream>(*this, streams_.NewExecutor(), backend_, Method::kAttach);
  stream->Begin();
  return stream.get();
}

grpc::ServerBidiReactor<fv1::ForwardPart, fv1::ForwardPart>* PodsService::PortForward(grpc::CallbackServerContext*) {
  auto stream = std::make_shared<ForwardStream>(*this, streams_.NewExecutor(), backend_);
  stream->Begin();
  return stream.get();
}

}  // namespace fermata::cri
