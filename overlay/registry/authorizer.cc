#include "overlay/registry/authorizer.h"

#include <algorithm>

namespace fermata::overlay {

Authorizer::Authorizer(Setup setup)
    : setup_(std::move(setup)), looked_up_(setup_.given && !setup_.given->empty()), credentials_(setup_.given) {}

Authorizer::~Authorizer() = default;

std::string Authorizer::Current(const std::string& scope) {
  const std::lock_guard lock(mutex_);
  const auto grant = grants_.find(scope);
  if (grant != grants_.end() && (!grant->second.expires || *grant->second.expires > std::chrono::steady_clock::now())) {
    return grant->second.header.registry_token;
  }
  if (credentials_ && !credentials_->registry_token.empty()) return "Bearer " + credentials_->registry_token;
  return {};
}

void Authorizer::Keep(const std::string& scope, std::string header,
                      std::optional<std::chrono::steady_clock::time_point> expires) {
  const std::lock_guard lock(mutex_);
  Grant& grant = grants_[scope];
  grant.header.registry_token = std::move(header);
  grant.expires = expires;
}

Result<std::optional<Credentials>> Authorizer::WhoAsks(const Stops& stops) {
  {
    const std::lock_guard lock(mutex_);
    if (looked_up_) return credentials_;
  }
  // Outside the lock: a helper may take its time. Two may look at once, and find the same.
  ASSIGN_OR_RETURN(std::optional<Credentials> found, setup_.lookup(stops));
  const std::lock_guard lock(mutex_);
  looked_up_ = true;
  credentials_ = std::move(found);
  return credentials_;
}

Result<bool> Authorizer::Answer(const std::vector<Challenge>& challenges, const std::string& scope,
                                const std::string& rejected, const Stops& stops) {
  if (const std::string current = Current(scope); !current.empty() && current != rejected) return true;
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == Challenge::Scheme::kBearer && !challenge.realm.empty()) {
      return AnswerBearer(challenge, scope, rejected, stops);
    }
  }
  const bool basic = std::any_of(challenges.begin(), challenges.end(), [](const Challenge& challenge) {
    return challenge.scheme == Challenge::Scheme::kBasic;
  });
  return basic ? AnswerBasic(scope, rejected, stops) : Result<bool>(false);
}

Result<bool> Authorizer::AnswerBasic(const std::string& scope, const std::string& rejected, const Stops& stops) {
  ASSIGN_OR_RETURN(const std::optional<Credentials> who, WhoAsks(stops));
  if (!who || who->username.empty()) return false;
  std::string header = BasicAuthorization(*who);
  if (header == rejected) return false;
  Keep(scope, std::move(header));
  return true;
}

bool Authorizer::MayBeTold(const Url& realm) const {
  if (SharesDomain(setup_.host.base.host, realm.host)) return true;
  return std::find(setup_.host.token_hosts.begin(), setup_.host.token_hosts.end(), realm.Host()) !=
         setup_.host.token_hosts.end();
}

Result<bool> Authorizer::AnswerBearer(const Challenge& challenge, const std::string& scope, const std::string& rejected,
                                      const Stops& stops) {
  ASSIGN_OR_RETURN(std::optional<Credentials> who, WhoAsks(stops));
  if (who && !who->registry_token.empty()) {  // a token as it is: there is no other
    std::string header = "Bearer " + who->registry_token;
    if (header == rejected) return false;
    Keep(scope, std::move(header));
    return true;
  }
  TokenRequest request;
  ASSIGN_OR_RETURN(request.realm, ParseUrl(challenge.realm), "realm of the token server");
  if (setup_.host.base.https && !request.realm.https) {
    return Error::Make(ErrorCode::kFailedPrecondition, "the registry sends for a token by plain http to ",
                       request.realm.Host());
  }
  request.service = challenge.service;
  // The registry knows better, if it is itself a proxy with names of its own.
  request.scope = challenge.scope.empty() ? scope : challenge.scope;
  if (MayBeTold(request.realm)) request.credentials = std::move(who);
  request.tls = setup_.tls;
  if (request.realm.Origin() != setup_.host.base.Origin()) {
    request.tls.verify = true;
    request.tls.client_cert.clear();
    request.tls.client_key.clear();
  }
  request.stops = stops;
  const std::string key = request.Key();
  if (rejected.starts_with("Bearer ")) setup_.tokens.Drop(key, rejected.substr(7));
  std::optional<Token> token = setup_.tokens.Find(key);
  if (!token) {
    ASSIGN_OR_RETURN(token, FetchToken(setup_.transport, request));
    setup_.tokens.Store(key, *token);
  }
  Keep(scope, "Bearer " + token->value.registry_token, token->expires);
  return true;
}

}  // namespace fermata::overlay
