#include "cri/streaming/spdy_connection.h"

#include <algorithm>

namespace fermata::cri::streaming {
namespace {

constexpr size_t kMaxPiece = size_t{64} << 10;

}  // namespace

Result<> SpdyConnection::Feed(std::string_view bytes) {
  for (;;) {
    const size_t before = bytes.size();
    ASSIGN_OR_RETURN(const std::optional<SpdyFrame> frame, parser_.Next(bytes));
    if (frame) {
      RETURN_IF_ERROR(OnFrame(*frame));
    } else if (bytes.empty() || bytes.size() == before) {
      return {};
    }
  }
}

Result<> SpdyConnection::OnFrame(const SpdyFrame& frame) {
  switch (frame.type) {
    case SpdyType::kData:
      return OnDataFrame(frame);
    case SpdyType::kSynStream:
      return OnSynStream(frame);
    case SpdyType::kSynReply:
    case SpdyType::kHeaders:
      RETURN_IF_ERROR(reader_.Read(frame.payload));  // for the compression's state only
      if ((frame.flags & kSpdyFin) != 0) OnTheirEnd(frame.stream);
      return {};
    case SpdyType::kRstStream:
      if (streams_.erase(frame.stream) != 0) user_.OnReset(frame.stream);
      return {};
    case SpdyType::kPing:
      if (frame.number % 2 == 1) out_(SpdyPing(frame.number), {});
      return {};
    default:
      return {};  // settings and windows are not used; after GOAWAY the streams that there are go on
  }
}

Result<> SpdyConnection::OnSynStream(const SpdyFrame& frame) {
  ASSIGN_OR_RETURN(const SpdyHeaders headers, reader_.Read(frame.payload));
  if (frame.stream % 2 == 0 || frame.stream <= last_) {
    out_(SpdyReset(frame.stream, kSpdyProtocolError), {});
    if (streams_.erase(frame.stream) != 0) user_.OnReset(frame.stream);
    return {};
  }
  last_ = frame.stream;
  if (streams_.size() >= max_streams_ || !user_.OnStream(frame.stream, headers)) {
    out_(SpdyReset(frame.stream, kSpdyRefusedStream), {});
    return {};
  }
  streams_[frame.stream] = {};
  out_(SpdySynReply(frame.stream, writer_.Write({})), {});
  if ((frame.flags & kSpdyFin) != 0) OnTheirEnd(frame.stream);
  return {};
}

Result<> SpdyConnection::OnDataFrame(const SpdyFrame& frame) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) {
    // Of one that we have closed the client may not know yet.
    if (frame.stream <= last_) return {};
    return Error::Make(ErrorCode::kInvalidArgument, "SPDY: data for a stream that was never opened");
  }
  if (found->second.their_end) return Error::Make(ErrorCode::kInvalidArgument, "SPDY: data after the end of a stream");
  if (!frame.payload.empty()) user_.OnData(frame.stream, frame.payload);
  if ((frame.flags & kSpdyFin) != 0) OnTheirEnd(frame.stream);
  return {};
}

void SpdyConnection::OnTheirEnd(uint32_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.their_end) return;
  found->second.their_end = true;
  if (found->second.our_end) streams_.erase(found);
  user_.OnFin(id);
}

void SpdyConnection::Send(uint32_t id, std::string_view data) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.our_end) return;
  for (; !data.empty(); data.remove_prefix(std::min(data.size(), kMaxPiece))) {
    const std::string_view piece = data.substr(0, kMaxPiece);
    out_(SpdyDataHead(id, piece.size(), 0), piece);
  }
}

void SpdyConnection::Fin(uint32_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.our_end) return;
  found->second.our_end = true;
  out_(SpdyDataHead(id, 0, kSpdyFin), {});
  if (found->second.their_end) streams_.erase(found);
}

void SpdyConnection::Reset(uint32_t id) {
  if (streams_.erase(id) != 0) out_(SpdyReset(id, kSpdyCancel), {});
}

}  // namespace fermata::cri::streaming
