#include "cri/streaming/spdy_frames.h"

#include <algorithm>
#include <array>

#include "cri/streaming/spdy_dictionary.h"

namespace fermata::cri::streaming {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr uint32_t kControlBit = 0x80000000;
constexpr uint32_t kVersion = 3;
constexpr uint32_t kSettingBytes = 8;

uint32_t Number(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}

void Append(std::string& out, uint32_t number) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(number >> shift));
}

Error Wrong(std::string_view what) { return Error::Make(ErrorCode::kInvalidArgument, "SPDY: ", what); }

std::string ControlHead(SpdyType type, uint8_t flags, size_t length) {
  std::string out;
  Append(out, kControlBit | kVersion << 16 | static_cast<uint32_t>(type));
  Append(out, uint32_t{flags} << 24 | static_cast<uint32_t>(length));
  return out;
}

std::string Plain(SpdyType type, std::initializer_list<uint32_t> numbers) {
  std::string out = ControlHead(type, 0, numbers.size() * sizeof(uint32_t));
  for (const uint32_t number : numbers) Append(out, number);
  return out;
}

// How many bytes of fixed fields come first in a frame that we look into.
size_t FixedBytes(SpdyType type) {
  switch (type) {
    case SpdyType::kSynStream:
      return 10;
    case SpdyType::kRstStream:
    case SpdyType::kGoAway:
      return 8;
    case SpdyType::kSynReply:
    case SpdyType::kPing:
    case SpdyType::kHeaders:
    case SpdyType::kSettings:
      return 4;
    default:
      return 0;
  }
}

const Bytef* In(std::string_view bytes) { return reinterpret_cast<const Bytef*>(bytes.data()); }

}  // namespace

Result<> SpdyParser::ReadHead() {
  const uint32_t first = Number(head_, 0);
  const uint32_t second = Number(head_, 4);
  head_.clear();
  flags_ = static_cast<uint8_t>(second >> 24);
  left_ = second & 0xffffff;
  control_ = (first & kControlBit) != 0;
  in_frame_ = true;
  if (!control_) {
    stream_ = first;
    if (stream_ == 0) return Wrong("data for stream 0");
    return {};
  }
  if ((first >> 16 & 0x7fff) != kVersion) return Wrong("not version 3");
  type_ = static_cast<SpdyType>(first & 0xffff);
  if (left_ > SpdyLimits::kControlBytes) return Wrong("control frame is too long");
  return {};
}

Result<std::optional<SpdyFrame>> SpdyParser::NextData(std::string_view& bytes) {
  if (bytes.empty() && left_ > 0) return std::optional<SpdyFrame>();
  SpdyFrame frame;
  frame.stream = stream_;
  frame.payload = bytes.substr(0, left_);
  bytes.remove_prefix(frame.payload.size());
  left_ -= frame.payload.size();
  if (left_ == 0) {
    frame.flags = flags_;
    in_frame_ = false;
  }
  return std::optional(frame);
}

Result<std::optional<SpdyFrame>> SpdyParser::Next(std::string_view& bytes) {
  if (clear_) body_.clear();
  clear_ = false;
  if (!in_frame_) {
    const size_t taken = std::min(kHeadBytes - head_.size(), bytes.size());
    head_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    if (head_.size() < kHeadBytes) return std::optional<SpdyFrame>();
    RETURN_IF_ERROR(ReadHead());
  }
  if (!control_) return NextData(bytes);
  const size_t taken = std::min(left_, bytes.size());
  body_.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  left_ -= taken;
  if (left_ > 0) return std::optional<SpdyFrame>();
  in_frame_ = false;
  clear_ = true;
  ASSIGN_OR_RETURN(const SpdyFrame frame, Control());
  return std::optional(frame);
}

Result<SpdyFrame> SpdyParser::Control() const {
  SpdyFrame frame{.type = type_, .flags = flags_};
  const size_t fixed = FixedBytes(type_);
  if (body_.size() < fixed) return Wrong("control frame is too short");
  if (fixed == 0) return frame;  // passed over
  const uint32_t first = Number(body_, 0);
  switch (type_) {
    case SpdyType::kSettings:
      if (first > SpdyLimits::kSettings || body_.size() != fixed + first * kSettingBytes) return Wrong("settings");
      return frame;
    case SpdyType::kPing:
      frame.number = first;
      return frame;
    case SpdyType::kGoAway:
      frame.number = first & kSpdyMaxStreamId;
      return frame;
    default:
      break;
  }
  frame.stream = first & kSpdyMaxStreamId;
  if (frame.stream == 0) return Wrong("control frame for stream 0");
  if (type_ == SpdyType::kRstStream) {
    frame.number = Number(body_, 4);
  } else {
    frame.payload = std::string_view(body_).substr(fixed);
  }
  return frame;
}

SpdyHeaderReader::SpdyHeaderReader() { (void)::inflateInit(&zlib_); }
SpdyHeaderReader::~SpdyHeaderReader() { (void)::inflateEnd(&zlib_); }

Result<std::string> SpdyHeaderReader::Inflate(std::string_view block) {
  std::string out;
  std::array<char, 4096> piece;
  zlib_.next_in = const_cast<Bytef*>(In(block));
  zlib_.avail_in = static_cast<uInt>(block.size());
  for (;;) {
    zlib_.next_out = reinterpret_cast<Bytef*>(piece.data());
    zlib_.avail_out = piece.size();
    int code = ::inflate(&zlib_, Z_SYNC_FLUSH);
    if (code == Z_NEED_DICT) {
      code = ::inflateSetDictionary(&zlib_, kSpdyDictionary.data(), kSpdyDictionary.size());
      if (code != Z_OK) return Wrong("header block is of another dictionary");
      continue;
    }
    const size_t made = piece.size() - zlib_.avail_out;
    out.append(piece.data(), made);
    if (out.size() > SpdyLimits::kBlockBytes) return Wrong("header block is too long");
    if (code == Z_BUF_ERROR || (code == Z_OK && zlib_.avail_out > 0)) break;
    if (code != Z_OK) return Wrong("header block is damaged");
  }
  if (zlib_.avail_in != 0) return Wrong("header block is damaged");
  return out;
}

Result<SpdyHeaders> SpdyHeaderReader::Read(std::string_view block) {
  ASSIGN_OR_RETURN(const std::string plain, Inflate(block));
  std::string_view rest = plain;
  const auto take = [&rest](uint32_t& number) {
    if (rest.size() < sizeof number) return false;
    number = Number(rest, 0);
    rest.remove_prefix(sizeof number);
    return true;
  };
  const auto text = [&](std::string_view& out) {
    uint32_t length = 0;
    if (!take(length) || length > SpdyLimits::kHeaderBytes || length > rest.size()) return false;
    out = rest.substr(0, length);
    rest.remove_prefix(length);
    return true;
  };
  uint32_t count = 0;
  if (!take(count) || count > SpdyLimits::kHeaders) return Wrong("header block");
  SpdyHeaders headers;
  for (uint32_t i = 0; i < count; ++i) {
    std::string_view name, value;
    if (!text(name) || name.empty() || !text(value)) return Wrong("header block");
    if (!headers.emplace(name, value).second) return Wrong("a header comes twice");
  }
  if (!rest.empty()) return Wrong("header block");
  return headers;
}

SpdyHeaderWriter::SpdyHeaderWriter() {
  (void)::deflateInit2(&zlib_, Z_BEST_SPEED, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY);  // little memory: blocks are short
  (void)::deflateSetDictionary(&zlib_, kSpdyDictionary.data(), kSpdyDictionary.size());
}
SpdyHeaderWriter::~SpdyHeaderWriter() { (void)::deflateEnd(&zlib_); }

std::string SpdyHeaderWriter::Write(const SpdyHeaders& headers) {
  std::string plain;
  Append(plain, static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    for (const std::string* text : {&name, &value}) {
      Append(plain, static_cast<uint32_t>(text->size()));
      plain += *text;
    }
  }
  std::string out;
  std::array<char, 1024> piece;
  zlib_.next_in = const_cast<Bytef*>(In(plain));
  zlib_.avail_in = static_cast<uInt>(plain.size());
  do {
    zlib_.next_out = reinterpret_cast<Bytef*>(piece.data());
    zlib_.avail_out = piece.size();
    (void)::deflate(&zlib_, Z_SYNC_FLUSH);
    out.append(piece.data(), piece.size() - zlib_.avail_out);
  } while (zlib_.avail_out == 0);
  return out;
}

std::string SpdyDataHead(uint32_t stream, size_t length, uint8_t flags) {
  std::string out;
  Append(out, stream);
  Append(out, uint32_t{flags} << 24 | static_cast<uint32_t>(length));
  return out;
}

std::string SpdySynStream(uint32_t stream, std::string_view block, uint8_t flags) {
  std::string out = ControlHead(SpdyType::kSynStream, flags, 10 + block.size());
  Append(out, stream);
  Append(out, 0);
  out.append(2, '\0');
  return out.append(block);
}

std::string SpdySynReply(uint32_t stream, std::string_view block) {
  std::string out = ControlHead(SpdyType::kSynReply, 0, sizeof stream + block.size());
  Append(out, stream);
  return out.append(block);
}

std::string SpdyReset(uint32_t stream, uint32_t status) { return Plain(SpdyType::kRstStream, {stream, status}); }
std::string SpdyPing(uint32_t id) { return Plain(SpdyType::kPing, {id}); }
std::string SpdyGoAway(uint32_t last_good) { return Plain(SpdyType::kGoAway, {last_good, 0}); }

}  // namespace fermata::cri::streaming
