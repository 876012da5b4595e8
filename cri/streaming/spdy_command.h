// SpdyCommand: exec and attach over SPDY, protocols v1 to v5 of channel.k8s.io. The client makes the streams error,
// stdin, stdout, stderr and resize, and the command begins when all that it asked for are there.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "cri/streaming/remote_command.h"
#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/wire.h"

namespace fermata::cri::streaming {

class SpdyCommand final : public RemoteCommand, public WireUser, private SpdyUser {
 public:
  // `version` of the protocol that was agreed on: 1 to 5.
  SpdyCommand(std::shared_ptr<Wire> wire, Backend& backend, StreamRequest request, int version);
  // Gives up on a client that has not made its streams in `limit`.
  void Begin(std::chrono::seconds limit);

  void OnBytes(std::string_view bytes) override;
  void OnRoom() override;
  void OnEnd() override;

  [[nodiscard]] bool HasRoom() const override { return wire_->has_room(); }
  void OnOutput(bool is_error, std::string_view data) override;

 private:
  enum Role : size_t { kError, kStdin, kStdout, kStderr, kResize, kRoles };

  bool OnStream(uint32_t id, const SpdyHeaders& headers) override;
  void OnData(uint32_t id, std::string_view data) override;
  void OnFin(uint32_t id) override;
  void OnReset(uint32_t id) override;
  void PauseInput(bool on) override;
  void Finish(const SessionEnd& end) override;
  [[nodiscard]] bool Wants(Role role) const;
  [[nodiscard]] bool Complete() const;
  void UpdateReading();

  std::shared_ptr<Wire> wire_;
  SpdyConnection spdy_;
  asio::steady_timer timer_;
  uint32_t streams_[kRoles] = {};  // by role; 0: not there
  int version_;
  bool begun_ = false;
  bool input_paused_ = false;
};

}  // namespace fermata::cri::streaming
