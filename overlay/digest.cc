#include "overlay/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace fermata::overlay {
namespace {
constexpr std::string_view kPrefix = "sha256:";
constexpr size_t kHexDigits = 64;
}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

// The EVP calls fail only without memory or without SHA-256 in libcrypto; Finish then gives a digest that
// matches nothing, so that the content is refused.
Sha256::Sha256() : context_(EVP_MD_CTX_new()) { (void)EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

void Sha256::Update(std::string_view data) { (void)EVP_DigestUpdate(context_.get(), data.data(), data.size()); }

std::string Sha256::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_.get(), raw.data(), &size) != 1) return "sha256:unavailable";
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(kPrefix);
  for (unsigned int i = 0; i < size; ++i) {
    text += kDigits[raw[i] >> 4];
    text += kDigits[raw[i] & 15];
  }
  return text;
}

std::string DigestOf(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Finish();
}

bool IsLowerHex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsDigest(std::string_view text) {
  return text.size() == kPrefix.size() + kHexDigits && text.starts_with(kPrefix) &&
         IsLowerHex(text.substr(kPrefix.size()));
}

std::string HexOf(std::string_view digest) {
  return std::string(digest.substr(std::min(kPrefix.size(), digest.size())));
}

}  // namespace fermata::overlay
