#include "sandbox/network/cni_result.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace fermata::sandbox {
namespace {

constexpr size_t kMaxIps = 64;
constexpr size_t kMaxText = 1024;

Error Bad(std::string_view why) { return Error::Make(ErrorCode::kInternal, "the result of the plugin: ", why); }

// "10.0.0.2/24" to "10.0.0.2"; empty when it is no such thing.
std::string AddressOf(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos || slash + 1 == text.size() || text.size() - slash > 4) return {};
  const std::string address(text.substr(0, slash));
  int bits = 0;
  for (const char c : text.substr(slash + 1)) {
    if (c < '0' || c > '9') return {};
    bits = bits * 10 + (c - '0');
  }
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return bits <= 32 ? address : "";
  if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return bits <= 128 ? address : "";
  return {};
}

// Whether the interface that entry `ip` belongs to lies outside the sandbox: a plugin may list the bridge's address.
bool IsHosts(const Json& ip, const Json& interfaces) {
  const auto index = ip.find("interface");
  if (index == ip.end() || !index->is_number_unsigned() || !interfaces.is_array()) return false;
  const auto at = index->get<uint64_t>();
  if (at >= interfaces.size() || !interfaces[at].is_object()) return false;
  const auto sandbox = interfaces[at].find("sandbox");
  return sandbox == interfaces[at].end() || !sandbox->is_string() || sandbox->get<std::string>().empty();
}

}  // namespace

Result<CniResult> ParseCniResult(std::string_view text, std::string_view version) {
  auto json = ParseJson(text, "the result of the plugin");
  if (!json) return std::move(json).error().WithCode(ErrorCode::kInternal);
  CniResult result;
  result.value = std::move(*json);
  if (!result.value.is_object()) return Bad("no object");
  const auto given = result.value.find("cniVersion");
  if (given == result.value.end() || !given->is_string()) return Bad("without cniVersion");
  if (*given != std::string(version)) {
    return Bad("of version " + Printable(given->get<std::string>(), 32) + " instead of " + std::string(version));
  }
  const auto ips = result.value.find("ips");
  if (ips == result.value.end() || ips->is_null()) return result;
  if (!ips->is_array() || ips->size() > kMaxIps) return Bad("ips is no list, or of more than 64");
  const auto interfaces = result.value.find("interfaces");
  for (const Json& ip : *ips) {
    const auto address = ip.is_object() ? ip.find("address") : ip.end();
    if (!ip.is_object() || address == ip.end() || !address->is_string()) return Bad("an IP without address");
    std::string plain = AddressOf(address->get<std::string>());
    if (plain.empty()) return Bad("no address: " + Printable(address->get<std::string>(), 64));
    if (interfaces != result.value.end() && IsHosts(ip, *interfaces)) continue;
    result.ips.push_back(std::move(plain));
  }
  return result;
}

Error CniFailure(std::string_view output, std::string_view diagnostics, int status) {
  const auto json = ParseJson(output, "error");
  if (json && json->is_object() && json->contains("code") && (*json)["code"].is_number_unsigned()) {
    const auto text = [&](const char* key) {
      const auto found = json->find(key);
      return found != json->end() && found->is_string() ? Printable(found->get<std::string>(), kMaxText) : "";
    };
    std::string message = text("msg");
    if (const std::string details = text("details"); !details.empty()) message += "; " + details;
    if (message.empty()) message = "error code " + (*json)["code"].dump();
    return {ErrorCode::kInternal, std::move(message)};
  }
  std::string message =
      status > 128 ? "ended by signal " + std::to_string(status - 128) : "ended with " + std::to_string(status);
  while (diagnostics.ends_with('\n')) diagnostics.remove_suffix(1);
  if (diagnostics.size() > kMaxText) diagnostics.remove_prefix(diagnostics.size() - kMaxText);
  if (!diagnostics.empty()) message += ": " + Printable(diagnostics, kMaxText);
  return {ErrorCode::kInternal, std::move(message)};
}

std::string Printable(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace fermata::sandbox
