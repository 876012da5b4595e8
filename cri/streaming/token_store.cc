#include "cri/streaming/token_store.h"

#include <openssl/evp.h>
#include <sys/random.h>

namespace fermata::cri::streaming {

std::string_view NameOf(Method method) {
  switch (method) {
    case Method::kExec:
      return "exec";
    case Method::kAttach:
      return "attach";
    default:
      return "portforward";
  }
}

TokenStore::Key TokenStore::KeyOf(std::string_view token) {
  Key key{};
  unsigned length = 0;
  (void)EVP_Digest(token.data(), token.size(), key.data(), &length, EVP_sha256(), nullptr);
  return key;
}

void TokenStore::DropExpired() {
  const auto now = now_();
  std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
}

Result<std::string> TokenStore::Add(StreamRequest request) {
  std::array<unsigned char, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return Error::Errno("getrandom");
  }
  std::string token;
  for (const unsigned char byte : random) {
    token.push_back("0123456789abcdef"[byte >> 4]);
    token.push_back("0123456789abcdef"[byte & 15]);
  }
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxOpen) DropExpired();
  if (entries_.size() >= kMaxOpen) {
    return Error::Make(ErrorCode::kResourceExhausted, "too many streams are open that nobody has come for");
  }
  entries_[KeyOf(token)] = {std::move(request), now_() + kLifetime};
  return token;
}

std::optional<StreamRequest> TokenStore::Take(std::string_view token, Method method) {
  const Key key = KeyOf(token);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.request.method != method) return std::nullopt;
  const bool good = found->second.expires > now_();
  std::optional<StreamRequest> request = std::move(found->second.request);
  entries_.erase(found);
  return good ? std::move(request) : std::nullopt;
}

}  // namespace fermata::cri::streaming
