// Messages between daemon and monitor: what is taken apart lies in the message, and put together again it is read as
// the same.
#include "runtime/monitor/protocol.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

using fuzz::Check;

constexpr uint16_t kLastTag = 64;  // beyond the known ones

void CheckInside(std::string_view part, std::string_view whole) {
  if (part.empty()) return;
  Check(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size(), "outside the message");
}

void CheckTags(const MessageReader& message, std::string_view data) {
  MessageWriter writer(message.type(), message.request_id());
  for (uint16_t i = 0; i <= kLastTag; ++i) {
    const Tag tag{i};
    bool first = true;
    message.ForEach(tag, [&](std::string_view bytes) {
      CheckInside(bytes, data);
      if (first) Check(bytes == message.Bytes(tag), "the first of its kind is another");
      first = false;
      writer.Add(tag, bytes);
    });
    Check(message.Has(tag) != first, "there and not there");
    if (message.Bytes(tag).size() != sizeof(uint64_t)) Check(message.Number(tag, 7) == 7, "a number of other bytes");
  }
  const auto again = MessageReader::Parse(writer.Finish());
  Check(again && again->type() == message.type() && again->request_id() == message.request_id(), "written again");
  for (uint16_t i = 0; i <= kLastTag; ++i) Check(again->Bytes(Tag{i}) == message.Bytes(Tag{i}), "another value");
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata::runtime;
  const std::string_view text = fermata::fuzz::TextOf(data, size);
  if (const auto message = MessageReader::Parse(text)) {
    CheckTags(*message, text);
    message->ForEach(Tag::kContainer, [](std::string_view nested) {
      if (const auto container = MessageReader::ParseTags(nested)) CheckTags(*container, nested);
    });
  }
  if (const auto tags = MessageReader::ParseTags(text)) CheckTags(*tags, text);
  return 0;
}
