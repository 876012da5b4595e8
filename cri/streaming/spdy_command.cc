#include "cri/streaming/spdy_command.h"

#include <algorithm>
#include <array>

#include "runtime/base/log.h"

namespace fermata::cri::streaming {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"error", "stdin", "stdout", "stderr", "resize"};
constexpr int kFirstWithResize = 3;
constexpr int kFirstWithStatus = 4;

}  // namespace

SpdyCommand::SpdyCommand(std::shared_ptr<Wire> wire, Backend& backend, StreamRequest request, int version)
    : RemoteCommand(wire->executor(), backend, std::move(request)),
      wire_(std::move(wire)),
      spdy_(*this, kMaxCommandStreams,
            [this](std::string_view head, std::string_view body) { wire_->Write(head, body); }),
      timer_(executor()),
      version_(version) {}

void SpdyCommand::Begin(std::chrono::seconds limit) {
  timer_.expires_after(limit);
  timer_.async_wait([weak = weak_from_this(), this](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || begun_) return;
    log::info("streaming: a client did not make its streams");
    spdy_.GoAway();
    Leave();
    wire_->Finish();
  });
}

bool SpdyCommand::Wants(Role role) const {
  switch (role) {
    case kStdin:
      return request().want_stdin;
    case kStdout:
      return request().want_stdout;
    case kStderr:
      return request().want_stderr;
    case kResize:
      return request().tty && version_ >= kFirstWithResize;
    default:
      return true;
  }
}

bool SpdyCommand::Complete() const {
  for (size_t role = 0; role < kRoles; ++role) {
    if (Wants(static_cast<Role>(role)) && streams_[role] == 0) return false;
  }
  return true;
}

bool SpdyCommand::OnStream(uint32_t id, const SpdyHeaders& headers) {
  const auto type = headers.find("streamtype");
  const auto* name = type == headers.end() ? kNames.end() : std::ranges::find(kNames, type->second);
  if (name == kNames.end()) return false;
  const auto role = static_cast<Role>(name - kNames.begin());
  if (!Wants(role) || streams_[role] != 0) return false;
  streams_[role] = id;
  if (!begun_ && Complete()) {
    begun_ = true;
    timer_.cancel();
    Open();
  }
  return true;
}

void SpdyCommand::OnData(uint32_t id, std::string_view data) {
  if (id == streams_[kStdin]) Input(data);
  if (id == streams_[kResize]) ResizeBytes(data);
}

void SpdyCommand::OnFin(uint32_t id) {
  if (id == streams_[kStdin]) InputEnd();
}

void SpdyCommand::OnReset(uint32_t id) { OnFin(id); }

void SpdyCommand::OnBytes(std::string_view bytes) {
  if (auto fed = spdy_.Feed(bytes); !fed) {
    log::info("streaming: {}", fed.error().message());
    Leave();
    spdy_.GoAway();
    return wire_->Finish();
  }
  UpdateReading();
}

void SpdyCommand::UpdateReading() { wire_->PauseReading(input_paused_ || wire_->flooded()); }

void SpdyCommand::OnRoom() {
  Resume();
  UpdateReading();
}

void SpdyCommand::OnEnd() {
  timer_.cancel();
  Leave();
}

void SpdyCommand::PauseInput(bool on) {
  input_paused_ = on;
  UpdateReading();
}

void SpdyCommand::OnOutput(bool is_error, std::string_view data) {
  spdy_.Send(streams_[is_error ? kStderr : kStdout], data);
}

void SpdyCommand::Finish(const SessionEnd& end) {
  for (const Role role : {kStdout, kStderr}) spdy_.Fin(streams_[role]);
  const std::string status = version_ >= kFirstWithStatus ? StatusJson(end) : StatusText(end);
  spdy_.Send(streams_[kError], status);
  spdy_.Fin(streams_[kError]);
  for (const Role role : {kStdin, kResize}) spdy_.Reset(streams_[role]);
  spdy_.GoAway();
  wire_->Finish();
}

}  // namespace fermata::cri::streaming
