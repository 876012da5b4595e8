#include "overlay/registry/token.h"

#include <openssl/evp.h>

#include <algorithm>

#include "overlay/digest.h"
#include "overlay/registry/http_redirect.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxAnswerBytes = size_t{1} << 20;
constexpr size_t kMaxTokens = 256;

Error Invalid(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, "token: ", reason); }

void Append(std::string& query, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (!query.empty()) query += '&';
  query.append(name).append("=").append(PercentEncode(value));
}

// Scopes of a challenge are separated by spaces; the protocol wants a parameter for each.
void AppendScopes(std::string& query, std::string_view scopes) {
  while (!scopes.empty()) {
    const std::string_view scope = scopes.substr(0, scopes.find(' '));
    Append(query, "scope", scope);
    scopes.remove_prefix(std::min(scope.size() + 1, scopes.size()));
  }
}

Outgoing MakeRequest(const TokenRequest& request) {
  Outgoing outgoing;
  HttpRequest& http = outgoing.request;
  http.url = request.realm;
  http.tls = request.tls;
  http.stops = request.stops;
  if (request.credentials && !request.credentials->identity_token.empty()) {
    http.method = "POST";
    http.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    Append(http.body, "grant_type", "refresh_token");
    Append(http.body, "client_id", "fermata");
    Append(http.body, "service", request.service);
    Append(http.body, "scope", request.scope);
    Append(http.body, "refresh_token", request.credentials->identity_token);
    return outgoing;
  }
  Append(http.url.query, "service", request.service);
  AppendScopes(http.url.query, request.scope);
  if (request.credentials) {
    if (!request.credentials->username.empty()) Append(http.url.query, "account", request.credentials->username);
    outgoing.private_headers.emplace_back("Authorization", BasicAuthorization(*request.credentials));
  }
  return outgoing;
}

// Goes into a header: nothing that could end one.
bool IsToken(std::string_view token) {
  return !token.empty() && std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

std::string TokenRequest::Key() const {
  std::string who;
  if (credentials) {
    Sha256 hash;
    for (const std::string* part : {&credentials->username, &credentials->password, &credentials->identity_token}) {
      hash.Update(std::to_string(part->size()) + ":");
      hash.Update(*part);
    }
    who = hash.Finish();
  }
  return realm.ToString() + "\n" + service + "\n" + scope + "\n" + who;
}

std::string BasicAuthorization(const Credentials& credentials) {
  const std::string pair = credentials.username + ":" + credentials.password;
  std::string encoded((pair.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                        reinterpret_cast<const unsigned char*>(pair.data()), static_cast<int>(pair.size()));
  encoded.resize(static_cast<size_t>(size));
  return "Basic " + encoded;
}

Result<Token> ParseTokenAnswer(std::string_view text, Clock::time_point now) {
  const auto document = ParseJson(text, "token");
  if (!document || !document->is_object()) return Invalid("the answer is not a JSON object");
  auto found = document->find("token");
  if (found == document->end() || !found->is_string()) found = document->find("access_token");
  if (found == document->end() || !found->is_string()) return Invalid("the answer has none");
  Token token;
  token.value.registry_token = found->get<std::string>();
  if (!IsToken(token.value.registry_token)) return Invalid("the answer has one that is none");
  constexpr int64_t kDefaultSeconds = 60, kMaxSeconds = 86400, kMarginSeconds = 10;
  const auto lifetime = document->find("expires_in");
  int64_t seconds = kDefaultSeconds;
  if (lifetime != document->end() && lifetime->is_number_unsigned()) {
    seconds = static_cast<int64_t>(std::min<uint64_t>(lifetime->get<uint64_t>(), kMaxSeconds));
  }
  // A little earlier, so that none expires on its way.
  token.expires = now + std::chrono::seconds(std::max(seconds - kMarginSeconds, seconds / 2));
  return token;
}

Result<Token> FetchToken(HttpTransport& transport, const TokenRequest& request) {
  const std::string place = "token server " + request.realm.Host();
  const auto now = Clock::now();
  ASSIGN_OR_RETURN(Followed answer, SendFollowing(transport, MakeRequest(request)), place);
  const int status = answer.response->status();
  if (status != 200) {
    answer.response->Discard();
    const bool passing = status == 429 || status >= 500;
    return Error::Make(passing ? ErrorCode::kUnavailable : ErrorCode::kFailedPrecondition, place, ": ",
                       StatusText(status));
  }
  ASSIGN_OR_RETURN(const std::string text, answer.response->ReadAll(kMaxAnswerBytes), place);
  auto token = ParseTokenAnswer(text, now);
  if (!token) return std::move(token).error().Wrap(place);
  return token;
}

std::optional<Token> TokenCache::Find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(key);
  if (found == tokens_.end() || found->second.expires <= Clock::now()) return std::nullopt;
  return found->second;
}

void TokenCache::Store(const std::string& key, const Token& token) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  std::erase_if(tokens_, [&](const auto& entry) { return entry.second.expires <= now; });
  if (tokens_.size() >= kMaxTokens) tokens_.clear();
  tokens_.insert_or_assign(key, token);
}

void TokenCache::Drop(const std::string& key, const std::string& token) {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(key);
  if (found != tokens_.end() && found->second.value.registry_token == token) tokens_.erase(found);
}

}  // namespace fermata::overlay
