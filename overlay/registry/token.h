// Tokens of the Bearer scheme: asked of a token server by the protocol of the distribution specification, and kept
// until they expire.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "overlay/registry/credentials.h"
#include "overlay/registry/http.h"
#include "overlay/registry/url.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct Token {
  Credentials value;  // its registry_token
  std::chrono::steady_clock::time_point expires;
};

struct TokenRequest {
  Url realm;
  std::string service, scope;
  std::optional<Credentials> credentials;  // nothing: as nobody
  HttpTls tls;
  Stops stops;

  // What a token is kept under: also who asked, so that nobody reads by the rights of another.
  [[nodiscard]] std::string Key() const;
};

// By GET with Basic authorization, or with an identity token by POST. kFailedPrecondition: refused; kUnavailable: the
// server does not answer, or only that something is wrong with it.
Result<Token> FetchToken(HttpTransport& transport, const TokenRequest& request);

// The answer of a token server; `now` is what its lifetime counts from. kInvalidArgument, and never quotes it.
Result<Token> ParseTokenAnswer(std::string_view text, std::chrono::steady_clock::time_point now);

// Thread-safe; holds 256 tokens at most.
class TokenCache {
 public:
  std::optional<Token> Find(const std::string& key);
  void Store(const std::string& key, const Token& token);
  // Forgets it if it is still this one.
  void Drop(const std::string& key, const std::string& token);

 private:
  std::mutex mutex_;
  std::map<std::string, Token> tokens_;  // mutex_
};

std::string BasicAuthorization(const Credentials& credentials);

}  // namespace fermata::overlay
