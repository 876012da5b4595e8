// RemoteCommand: exec or attach for one client, whatever it speaks: opens the session when the client is ready, keeps
// what the client sends until then, and passes on what comes. Transports derive from it. All calls on one executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cri/streaming/backend.h"
#include "cri/streaming/remote_status.h"
#include "cri/streaming/session.h"

namespace fermata::cri::streaming {

class RemoteCommand : public SessionClient, public std::enable_shared_from_this<RemoteCommand> {
 public:
  RemoteCommand(asio::any_io_executor executor, Backend& backend, StreamRequest request)
      : executor_(std::move(executor)), backend_(backend), request_(std::move(request)) {}

  void OnInputRoom() override { UpdateInput(); }
  void OnSessionEnd(const SessionEnd& end) override;

 protected:
  [[nodiscard]] const StreamRequest& request() const { return request_; }
  [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }
  // The client has made what it has to: now the process is started, or attached to.
  void Open();
  void Input(std::string_view data);
  void InputEnd();
  void ResizeBytes(std::string_view data);
  void Resize(uint16_t columns, uint16_t rows);
  // The client takes output again.
  void Resume();
  // The client is gone.
  void Leave();

  // Whether what the client sends should wait.
  virtual void PauseInput(bool on) = 0;
  // Tells the client how it ended; the last call.
  virtual void Finish(const SessionEnd& end) = 0;

 private:
  void OnOpened(Result<UniqueFd> socket);
  void UpdateInput();

  asio::any_io_executor executor_;
  Backend& backend_;
  StreamRequest request_;
  std::shared_ptr<Session> session_;
  ResizeReader sizes_;
  // Before the session is there:
  std::string early_input_;
  std::optional<std::pair<uint16_t, uint16_t>> early_size_;
  bool input_ended_ = false;
  bool paused_ = false;
  bool over_ = false;
};

}  // namespace fermata::cri::streaming
