#include "cri/streaming/remote_command.h"

#include <boost/asio/post.hpp>

namespace fermata::cri::streaming {

void RemoteCommand::Open() {
  backend_.Open(request_, [self = shared_from_this()](Result<UniqueFd> socket) {
    // A function that can be copied, of what cannot.
    auto shared = std::make_shared<Result<UniqueFd>>(std::move(socket));
    asio::post(self->executor_, [self, shared] { self->OnOpened(std::move(*shared)); });
  });
}

void RemoteCommand::OnOpened(Result<UniqueFd> socket) {
  if (over_) return;  // the client has left: the end of the socket is the end of its interest
  if (!socket) return OnSessionEnd({std::nullopt, socket.error().message()});
  session_ = std::make_shared<Session>(executor_, std::move(*socket));
  if (early_size_) session_->Resize(early_size_->first, early_size_->second);
  session_->Input(std::exchange(early_input_, {}));
  if (input_ended_) session_->InputEnd();
  session_->Start(shared_from_this());
  UpdateInput();
}

void RemoteCommand::OnSessionEnd(const SessionEnd& end) {
  if (over_) return;
  over_ = true;
  PauseInput(false);
  Finish(end);
}

void RemoteCommand::Input(std::string_view data) {
  if (input_ended_ || over_ || !request_.want_stdin) return;
  if (session_ != nullptr) {
    session_->Input(data);
  } else {
    early_input_.append(data);
  }
  UpdateInput();
}

void RemoteCommand::InputEnd() {
  if (input_ended_ || over_ || !request_.want_stdin) return;
  input_ended_ = true;
  if (session_ != nullptr) session_->InputEnd();
}

void RemoteCommand::ResizeBytes(std::string_view data) {
  sizes_.Read(data, [this](uint16_t columns, uint16_t rows) { Resize(columns, rows); });
}

void RemoteCommand::Resize(uint16_t columns, uint16_t rows) {
  if (over_ || !request_.tty) return;
  if (session_ != nullptr) return session_->Resize(columns, rows);
  early_size_ = {columns, rows};
}

void RemoteCommand::UpdateInput() {
  const size_t waiting = session_ != nullptr ? session_->input_waiting() : early_input_.size();
  const bool pause = waiting > Session::kMaxInput && !over_;
  if (pause == paused_) return;
  paused_ = pause;
  PauseInput(pause);
}

void RemoteCommand::Resume() {
  if (session_ != nullptr && !over_) session_->Resume();
}

void RemoteCommand::Leave() {
  over_ = true;
  if (session_ != nullptr) session_->Close();
}

}  // namespace fermata::cri::streaming
