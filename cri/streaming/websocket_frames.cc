#include "cri/streaming/websocket_frames.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "cri/streaming/base64.h"

namespace fermata::cri::streaming {
namespace {

constexpr size_t kShortHead = 2;
constexpr size_t kMaskBytes = 4;
constexpr size_t kMaxControl = 125;
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;

bool IsControl(WebSocketOp op) { return static_cast<unsigned>(op) >= 8; }

bool IsKnown(WebSocketOp op) {
  return op == WebSocketOp::kContinuation || op == WebSocketOp::kText || op == WebSocketOp::kBinary ||
         op == WebSocketOp::kClose || op == WebSocketOp::kPing || op == WebSocketOp::kPong;
}

unsigned ByteOf(std::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

// How many bytes a character that begins with this one has; 0: none begins so.
size_t CharacterBytes(unsigned first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

bool IsUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const unsigned first = ByteOf(text, at);
    const size_t bytes = CharacterBytes(first);
    if (bytes == 0 || bytes > text.size() - at) return false;
    for (size_t i = 1; i < bytes; ++i) {
      if ((ByteOf(text, at + i) & 0xc0) != 0x80) return false;
    }
    const unsigned second = bytes > 1 ? ByteOf(text, at + 1) : 0;
    // Longer than needed, halves of UTF-16 pairs, beyond the last character.
    const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
    if (wrong) return false;
    at += bytes;
  }
  return true;
}

void AppendNumber(std::string& out, uint64_t number, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}

}  // namespace

Error WebSocketParser::Wrong(uint16_t code, std::string_view what) {
  close_code_ = code;
  return Error::Make(ErrorCode::kInvalidArgument, "WebSocket: ", what);
}

size_t WebSocketParser::HeadBytes() const {
  if (head_.size() < kShortHead) return kShortHead;
  const unsigned length = ByteOf(head_, 1) & 0x7f;
  return kShortHead + kMaskBytes + (length == kLength16 ? 2 : length == kLength64 ? 8 : 0);
}

Result<> WebSocketParser::ReadHead() {
  const unsigned first = ByteOf(head_, 0);
  fin_ = (first & 0x80) != 0;
  op_ = static_cast<WebSocketOp>(first & 0x0f);
  if ((first & 0x70) != 0 || !IsKnown(op_)) return Wrong(kWebSocketProtocolError, "unknown kind of frame");
  const size_t length_bytes = head_.size() - kShortHead - kMaskBytes;
  uint64_t length = ByteOf(head_, 1) & 0x7f;
  if (length_bytes > 0) length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length = length << 8 | ByteOf(head_, kShortHead + i);
  for (size_t i = 0; i < kMaskBytes; ++i) mask_[i] = static_cast<unsigned char>(head_[head_.size() - kMaskBytes + i]);
  head_.clear();
  if (IsControl(op_)) {
    if (!fin_ || length > kMaxControl) return Wrong(kWebSocketProtocolError, "control frame is too long");
  } else if ((op_ == WebSocketOp::kContinuation) != (message_op_ != WebSocketOp::kContinuation)) {
    return Wrong(kWebSocketProtocolError, "frame that continues nothing, or nothing that is continued");
  } else if (length > kMaxWebSocketMessage - message_.size()) {
    return Wrong(kWebSocketTooBig, "message is too long");
  }
  length_ = length;
  done_ = 0;
  in_frame_ = true;
  return {};
}

Result<std::optional<WebSocketMessage>> WebSocketParser::EndFrame() {
  in_frame_ = false;
  if (IsControl(op_)) {
    if (op_ == WebSocketOp::kClose && control_.size() == 1) return Wrong(kWebSocketProtocolError, "close frame");
    return std::optional(WebSocketMessage{op_, std::exchange(control_, {})});
  }
  if (op_ != WebSocketOp::kContinuation) message_op_ = op_;
  if (!fin_) return std::optional<WebSocketMessage>();
  WebSocketMessage message{std::exchange(message_op_, WebSocketOp::kContinuation), std::exchange(message_, {})};
  if (message.op == WebSocketOp::kText && !IsUtf8(message.payload)) return Wrong(kWebSocketBadText, "not UTF-8");
  return std::optional(std::move(message));
}

Result<std::optional<WebSocketMessage>> WebSocketParser::Next(std::string_view& bytes) {
  for (;;) {
    while (!in_frame_) {
      const size_t wanted = HeadBytes();
      const size_t taken = std::min(wanted - head_.size(), bytes.size());
      head_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (head_.size() >= kShortHead && (ByteOf(head_, 1) & 0x80) == 0) {
        return Wrong(kWebSocketProtocolError, "frame of a client without a mask");
      }
      if (head_.size() < wanted) return std::optional<WebSocketMessage>();
      if (head_.size() == HeadBytes()) RETURN_IF_ERROR(ReadHead());
    }
    std::string& into = IsControl(op_) ? control_ : message_;
    const std::string_view piece = bytes.substr(0, length_ - done_);
    const size_t begin = into.size();
    into.append(piece);
    for (size_t i = 0; i < piece.size(); ++i) into[begin + i] ^= static_cast<char>(mask_[(done_ + i) % kMaskBytes]);
    bytes.remove_prefix(piece.size());
    done_ += piece.size();
    if (done_ < length_) return std::optional<WebSocketMessage>();
    ASSIGN_OR_RETURN(std::optional<WebSocketMessage> message, EndFrame());
    if (message || bytes.empty()) return message;
  }
}

std::string WebSocketHead(WebSocketOp op, size_t length) {
  std::string head(1, static_cast<char>(0x80 | static_cast<unsigned>(op)));
  if (length <= kMaxControl) {
    head.push_back(static_cast<char>(length));
  } else if (length <= 0xffff) {
    head.push_back(kLength16);
    AppendNumber(head, length, 2);
  } else {
    head.push_back(kLength64);
    AppendNumber(head, length, 8);
  }
  return head;
}

std::string WebSocketClose(uint16_t code, std::string_view reason) {
  std::string payload;
  AppendNumber(payload, code, 2);
  return payload.append(reason.substr(0, kMaxControl - payload.size()));
}

std::string WebSocketAccept(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
  std::array<unsigned char, 20> digest{};
  unsigned length = 0;
  (void)EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr);
  return Base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace fermata::cri::streaming
