#include "overlay/registry/base64.h"

#include <openssl/evp.h>

#include <limits>

namespace fermata::overlay {

Result<std::string> DecodeBase64(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return std::string();
  text = text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
  const Error invalid = Error::Make(ErrorCode::kInvalidArgument, "not base64");
  if (text.size() % 4 != 0 || text.size() > size_t{1} << 24) return invalid;
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  // OpenSSL takes white space and padding in places where they do not belong.
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  for (const char c : text.substr(0, text.size() - padding)) {
    if (!is_digit(c)) return invalid;
  }
  std::string bytes(text.size() / 4 * 3, '\0');
  const int count = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (count < 0) return invalid;
  bytes.resize(static_cast<size_t>(count) - padding);
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero
  const int count =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(count));
  return text;
}

}  // namespace fermata::overlay
