#include "runtime/monitor/protocol.h"

#include <cstring>

namespace fermata::runtime {
namespace {

struct TagHeader {
  uint16_t tag;
  uint16_t reserved;
  uint32_t length;
};

}  // namespace

MessageWriter::MessageWriter(MessageType type, uint64_t request_id) {
  const MessageHeader header{0, static_cast<uint16_t>(type), 0, request_id};
  data_.assign(reinterpret_cast<const char*>(&header), sizeof header);
}

MessageWriter& MessageWriter::Add(Tag tag, std::string_view bytes) {
  const TagHeader header{static_cast<uint16_t>(tag), 0, static_cast<uint32_t>(bytes.size())};
  data_.append(reinterpret_cast<const char*>(&header), sizeof header).append(bytes);
  return *this;
}

MessageWriter& MessageWriter::Add(Tag tag, uint64_t number) {
  return Add(tag, std::string_view(reinterpret_cast<const char*>(&number), sizeof number));
}

const std::string& MessageWriter::Finish() {
  const auto length = static_cast<uint32_t>(data_.size());
  std::memcpy(data_.data(), &length, sizeof length);
  return data_;
}

MessageReader::Item MessageReader::Next(std::string_view& rest) {
  TagHeader header{};
  std::memcpy(&header, rest.data(), sizeof header);
  const Item item{static_cast<Tag>(header.tag), rest.substr(sizeof header, header.length)};
  rest.remove_prefix(sizeof header + header.length);
  return item;
}

bool MessageReader::Valid(std::string_view tags) {
  while (!tags.empty()) {
    TagHeader header{};
    if (tags.size() < sizeof header) return false;
    std::memcpy(&header, tags.data(), sizeof header);
    if (header.length > tags.size() - sizeof header) return false;
    tags.remove_prefix(sizeof header + header.length);
  }
  return true;
}

std::optional<MessageReader> MessageReader::Parse(std::string_view data) {
  MessageReader reader;
  if (data.size() < sizeof reader.header_) return std::nullopt;
  std::memcpy(&reader.header_, data.data(), sizeof reader.header_);
  if (reader.header_.length != data.size()) return std::nullopt;
  reader.tags_ = data.substr(sizeof reader.header_);
  if (!Valid(reader.tags_)) return std::nullopt;
  return reader;
}

std::optional<MessageReader> MessageReader::ParseTags(std::string_view tags) {
  if (!Valid(tags)) return std::nullopt;
  MessageReader reader;
  reader.tags_ = tags;
  return reader;
}

std::string_view MessageReader::Bytes(Tag tag) const {
  for (std::string_view rest = tags_; !rest.empty();) {
    if (const Item item = Next(rest); item.tag == tag) return item.bytes;
  }
  return {};
}

bool MessageReader::Has(Tag tag) const {
  bool found = false;
  ForEach(tag, [&found](std::string_view) { found = true; });
  return found;
}

uint64_t MessageReader::Number(Tag tag, uint64_t otherwise) const {
  const std::string_view bytes = Bytes(tag);
  uint64_t number = otherwise;
  if (bytes.size() == sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

}  // namespace fermata::runtime
