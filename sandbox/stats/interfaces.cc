#include "sandbox/stats/interfaces.h"

#include <algorithm>
#include <charconv>

#include "runtime/base/file.h"

namespace fermata::sandbox::stats {
namespace {

constexpr size_t kNumbers = 16;  // eight received, eight sent

std::vector<uint64_t> Numbers(std::string_view text) {
  std::vector<uint64_t> numbers;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return numbers;
    numbers.push_back(number);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
}

}  // namespace

std::vector<Interface> ParseNetDev(std::string_view text) {
  std::vector<Interface> interfaces;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = line.rfind(':');  // a name may have one too
    if (colon == std::string_view::npos) continue;
    const std::vector<uint64_t> n = Numbers(line.substr(colon + 1));
    line = line.substr(0, colon);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.empty() || n.size() < kNumbers) continue;
    interfaces.push_back({std::string(line), {n[0], n[1], n[2], n[3]}, {n[8], n[9], n[10], n[11]}});
  }
  if (interfaces.size() > 1) std::erase_if(interfaces, [](const Interface& i) { return i.name == "lo"; });
  return interfaces;
}

Result<std::vector<Interface>> ReadInterfaces(int process) {
  auto text = ReadFileAt(process, "net/dev");
  if (text) return ParseNetDev(*text);
  const int why = text.error().saved_errno();
  const bool gone = why == ENOENT || why == ESRCH || why == EINVAL;  // of a process that is no more, or a zombie
  return gone ? std::move(text).error().WithCode(ErrorCode::kNotFound) : std::move(text).error();
}

const Interface* DefaultInterface(const std::vector<Interface>& interfaces) {
  const auto found =
      std::find_if(interfaces.begin(), interfaces.end(), [](const Interface& i) { return i.name == "eth0"; });
  if (found != interfaces.end()) return &*found;
  return interfaces.empty() ? nullptr : &interfaces.front();
}

}  // namespace fermata::sandbox::stats
