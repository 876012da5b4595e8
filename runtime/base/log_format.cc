#include "runtime/base/log_format.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>

#include <algorithm>
#include <cctype>

#include "runtime/base/json.h"
#include "runtime/base/operation.h"

namespace fermata::log {
namespace {

constexpr const char* kTime = "%Y-%m-%dT%H:%M:%S.%e%z";
constexpr size_t kMaxJournalMessage = size_t{48} << 10;  // longer ones would have to go by memfd

std::string_view ViewOf(const spdlog::string_view_t& text) { return {text.data(), text.size()}; }

// The time by spdlog's pattern, the rest ours.
class Format : public spdlog::formatter {
 public:
  Format() : time_(kTime, spdlog::pattern_time_type::local, "") {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) final {
    spdlog::memory_buf_t time;
    time_.format(message, time);
    const std::string line = Line(fmt::to_string(time), message, About::All());
    out.append(line.data(), line.data() + line.size());
  }

 private:
  virtual std::string Line(const std::string& time, const spdlog::details::log_msg& message, const Ids& ids) = 0;
  spdlog::pattern_formatter time_;
};

std::string LevelName(const spdlog::details::log_msg& message) {
  const auto name = spdlog::level::to_string_view(message.level);
  return name == "warning" ? "warn" : std::string(name.data(), name.size());
}

class Text final : public Format {
 public:
  [[nodiscard]] std::unique_ptr<formatter> clone() const override { return std::make_unique<Text>(); }

 private:
  std::string Line(const std::string& time, const spdlog::details::log_msg& message, const Ids& ids) override {
    std::string line = time + " " + LevelName(message) + " " + OneLine(ViewOf(message.payload));
    for (const auto& [name, id] : ids) line.append(" ").append(name).append("=").append(OneLine(id));
    return line.append("\n");
  }
};

class AsJson final : public Format {
 public:
  [[nodiscard]] std::unique_ptr<formatter> clone() const override { return std::make_unique<AsJson>(); }

 private:
  std::string Line(const std::string& time, const spdlog::details::log_msg& message, const Ids& ids) override {
    nlohmann::ordered_json line = {{"time", time}, {"level", LevelName(message)}, {"message", ViewOf(message.payload)}};
    for (const auto& [name, id] : ids) line[name] = id;
    // Also what is no UTF-8, and DEL and what follows it as escapes.
    return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
};

void AddField(std::string& entry, std::string_view name, std::string_view value) {
  entry.append(name);
  if (value.find('\n') == std::string_view::npos) {
    entry.append("=").append(value).append("\n");
    return;
  }
  entry.append("\n");
  for (size_t i = 0; i < 8; ++i) entry.push_back(static_cast<char>(value.size() >> (8 * i)));  // little-endian
  entry.append(value).append("\n");
}

}  // namespace

std::unique_ptr<spdlog::formatter> TextFormat() { return std::make_unique<Text>(); }
std::unique_ptr<spdlog::formatter> JsonFormat() { return std::make_unique<AsJson>(); }

std::string OneLine(std::string_view text) {
  std::string line;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // In UTF-8 the second set of control codes is C2 80 to C2 9F.
    const bool second = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (byte == '\n') {
      line += "\\n";
    } else if ((byte < 0x20 && byte != '\t') || byte == 0x7f || second) {
      line += fmt::format("\\x{:02x}", byte);
      if (second) line += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else {
      line.push_back(text[i]);
    }
  }
  return line;
}

std::string JournalEntry(int priority, std::string_view message, const Ids& ids) {
  std::string entry;
  AddField(entry, "PRIORITY", std::to_string(priority));
  AddField(entry, "SYSLOG_IDENTIFIER", "fermatad");
  AddField(entry, "MESSAGE", message.substr(0, kMaxJournalMessage));
  for (const auto& [name, id] : ids) {
    std::string field = std::string("FERMATA_") + name;
    std::transform(field.begin(), field.end(), field.begin(), [](unsigned char c) { return std::toupper(c); });
    AddField(entry, field, id);
  }
  return entry;
}

}  // namespace fermata::log
