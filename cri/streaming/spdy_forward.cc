#include "cri/streaming/spdy_forward.h"

#include <boost/asio/post.hpp>
#include <charconv>
#include <optional>

namespace fermata::cri::streaming {
namespace {

// Once the pod has ended its side the client has so long to end its own.
constexpr auto kAfterEof = std::chrono::seconds(1);

std::optional<uint32_t> NumberIn(const SpdyHeaders& headers, std::string_view name, uint32_t most) {
  const auto found = headers.find(name);
  if (found == headers.end()) return std::nullopt;
  const std::string& text = found->second;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

}  // namespace

SpdyForward::SpdyForward(asio::any_io_executor executor, Backend& backend, StreamRequest request, ByteCarrier& carrier,
                         std::chrono::seconds pair_limit)
    : executor_(std::move(executor)),
      backend_(backend),
      request_(std::move(request)),
      carrier_(&carrier),
      pair_limit_(pair_limit),
      spdy_(*this, kMaxForwardStreams, [this](std::string_view head, std::string_view body) {
        if (carrier_ != nullptr) carrier_->CarryOut(head, body);
      }) {}

Result<> SpdyForward::Feed(std::string_view bytes) {
  RETURN_IF_ERROR(spdy_.Feed(bytes));
  UpdateReading();
  return {};
}

bool SpdyForward::OnStream(uint32_t id, const SpdyHeaders& headers) {
  const auto port = NumberIn(headers, "port", UINT16_MAX);
  const auto type = headers.find("streamtype");
  if (!port || *port == 0 || type == headers.end()) return false;
  const bool is_error = type->second == "error";
  if (!is_error && type->second != "data") return false;
  // Old clients number nothing: the data stream is the one after the error stream.
  uint32_t key = is_error ? id : id - 2;
  if (headers.contains("requestid")) {
    const auto number = NumberIn(headers, "requestid", UINT32_MAX);
    if (!number) return false;
    key = *number;
  }
  Pair& pair = pairs_[key];
  const bool is_new = pair.error == 0 && pair.data == 0;
  uint32_t& stream = is_error ? pair.error : pair.data;
  if (stream != 0 || (!is_new && pair.port != *port)) return false;
  stream = id;
  pair.port = static_cast<uint16_t>(*port);
  keys_[id] = key;
  if (is_new) EndAfter(key, pair_limit_, "the other stream of the connection did not come");
  if (pair.error != 0 && pair.data != 0) StartPair(key, pair);
  return true;
}

void SpdyForward::StartPair(uint32_t key, Pair& pair) {
  pair.timer.reset();
  pair.forward = std::make_shared<Forward>(executor_, key);
  pair.forward->Start(backend_, request_.sandbox, pair.port, weak_from_this());
  if (!pair.early.empty()) pair.forward->Write(std::exchange(pair.early, {}));
  if (pair.early_end) pair.forward->WriteEnd();
}

void SpdyForward::EndAfter(uint32_t key, std::chrono::milliseconds limit, const std::string& why) {
  auto& timer = pairs_[key].timer;
  timer = std::make_unique<asio::steady_timer>(executor_, limit);
  timer->async_wait([weak = weak_from_this(), key, why](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr) return;
    if (why.empty()) return self->EndPair(key);
    self->OnForwardFailed(key, why);
  });
}

SpdyForward::Pairs::iterator SpdyForward::PairOf(uint32_t stream) {
  const auto key = keys_.find(stream);
  return key == keys_.end() ? pairs_.end() : pairs_.find(key->second);
}

void SpdyForward::OnData(uint32_t id, std::string_view data) {
  const auto found = PairOf(id);
  if (found == pairs_.end() || found->second.data != id) return;
  Pair& pair = found->second;
  if (pair.forward != nullptr) return pair.forward->Write(data);
  pair.early.append(data);
  if (pair.early.size() > Forward::kMaxWaiting) OnForwardFailed(found->first, "data without an error stream");
}

void SpdyForward::OnFin(uint32_t id) {
  const auto found = PairOf(id);
  if (found == pairs_.end() || found->second.data != id) return;
  Pair& pair = found->second;
  if (pair.forward == nullptr) {
    pair.early_end = true;
  } else if (pair.timer != nullptr) {
    EndPair(found->first);  // both sides have ended
  } else {
    pair.forward->WriteEnd();
  }
}

void SpdyForward::OnReset(uint32_t id) {
  const auto found = PairOf(id);
  if (found != pairs_.end()) EndPair(found->first);
}

// Both streams are closed: the client waits for the end of the error stream too.
void SpdyForward::EndPair(uint32_t key) {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return;
  const Pair pair = std::move(found->second);
  pairs_.erase(found);
  if (pair.forward != nullptr) pair.forward->Close();
  spdy_.Fin(pair.error);
  spdy_.Reset(pair.error);
  spdy_.Fin(pair.data);
  spdy_.Reset(pair.data);
  keys_.erase(pair.error);
  keys_.erase(pair.data);
  UpdateReading();
}

bool SpdyForward::HasRoom(uint32_t) const { return carrier_ != nullptr && carrier_->CarrierHasRoom(); }

void SpdyForward::OnForwardData(uint32_t key, std::string_view data) {
  if (const auto found = pairs_.find(key); found != pairs_.end()) spdy_.Send(found->second.data, data);
}

void SpdyForward::OnForwardEof(uint32_t key) {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return;
  spdy_.Fin(found->second.data);
  EndAfter(key, kAfterEof, "");
}

void SpdyForward::OnForwardRoom(uint32_t) { UpdateReading(); }

void SpdyForward::OnForwardFailed(uint32_t key, const std::string& why) {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return;
  spdy_.Send(found->second.error, why);
  spdy_.Fin(found->second.error);
  spdy_.Reset(found->second.data);
  EndPair(key);
}

// There is no flow control: a connection whose pod does not read holds up the others, but only after a good while.
void SpdyForward::UpdateReading() {
  if (carrier_ == nullptr) return;
  bool full = carrier_->CarrierIsFlooded();
  for (const auto& [key, pair] : pairs_)
    full = full || (pair.forward && pair.forward->waiting() > Forward::kMaxWaiting);
  carrier_->PauseCarrier(full);
}

void SpdyForward::Resume() {
  for (const auto& [key, pair] : pairs_) {
    if (pair.forward != nullptr) pair.forward->Resume();
  }
  UpdateReading();
}

void SpdyForward::Close() {
  carrier_ = nullptr;
  for (const auto& [key, pair] : pairs_) {
    if (pair.forward != nullptr) pair.forward->Close();
  }
  pairs_.clear();
  keys_.clear();
}

}  // namespace fermata::cri::streaming
