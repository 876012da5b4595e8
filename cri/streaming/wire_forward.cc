#include "cri/streaming/wire_forward.h"

#include "runtime/base/log.h"

namespace fermata::cri::streaming {

WireForward::WireForward(std::shared_ptr<Wire> wire, Backend& backend, StreamRequest request,
                         std::chrono::seconds pair_limit)
    : wire_(std::move(wire)),
      forward_(std::make_shared<SpdyForward>(wire_->executor(), backend, std::move(request), *this, pair_limit)) {}

void WireForward::OnBytes(std::string_view bytes) {
  auto fed = forward_->Feed(bytes);
  if (fed) return;
  log::info("streaming: {}", fed.error().message());
  forward_->GoAway();
  forward_->Close();
  wire_->Finish();
}

}  // namespace fermata::cri::streaming
