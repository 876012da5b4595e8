#include "cri/streaming/base64.h"

#include <openssl/evp.h>

#include <algorithm>

namespace fermata::cri::streaming {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

unsigned char* Raw(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* Raw(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with NUL
  const int length = EVP_EncodeBlock(Raw(text), Raw(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t end = text.find_last_not_of('=');
  const size_t letters = end == std::string_view::npos ? 0 : end + 1;
  if (text.size() - letters > 2) return std::nullopt;
  if (text.substr(0, letters).find_first_not_of(kAlphabet) != std::string_view::npos) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(Raw(bytes), Raw(text), static_cast<int>(text.size())) < 0) return std::nullopt;
  bytes.resize(bytes.size() - (text.size() - letters));
  return bytes;
}

}  // namespace fermata::cri::streaming
