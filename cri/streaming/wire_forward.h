// WireForward: port-forward over SPDY on a client's connection itself.
#pragma once

#include <memory>

#include "cri/streaming/spdy_forward.h"
#include "cri/streaming/wire.h"

namespace fermata::cri::streaming {

class WireForward final : public WireUser, public ByteCarrier {
 public:
  WireForward(std::shared_ptr<Wire> wire, Backend& backend, StreamRequest request, std::chrono::seconds pair_limit);
  ~WireForward() override { forward_->Close(); }

  void OnBytes(std::string_view bytes) override;
  void OnRoom() override { forward_->Resume(); }
  void OnEnd() override { forward_->Close(); }

 private:
  void CarryOut(std::string_view head, std::string_view body) override { wire_->Write(head, body); }
  [[nodiscard]] bool CarrierHasRoom() const override { return wire_->has_room(); }
  [[nodiscard]] bool CarrierIsFlooded() const override { return wire_->flooded(); }
  void PauseCarrier(bool on) override { wire_->PauseReading(on); }

  std::shared_ptr<Wire> wire_;
  std::shared_ptr<SpdyForward> forward_;
};

}  // namespace fermata::cri::streaming
