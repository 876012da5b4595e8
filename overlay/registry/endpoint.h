// Endpoint: one place that has images of a repository, the registry itself or a mirror, as one asker sees it.
// Thread-safe and immutable but for what its authorizer learns. Error texts begin with what was asked, not with the
// registry, which the callers name.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "overlay/registry/authorizer.h"
#include "overlay/registry/http_redirect.h"
#include "overlay/registry/registry_client.h"

namespace fermata::overlay {

// What all endpoints of a client share.
struct RegistryContext {
  explicit RegistryContext(RegistryOptions given);
  const RegistryOptions options;
  TokenCache tokens;
  HttpTransport transport;
};

// Of whom and for what is asked.
struct RegistryTarget {
  std::string domain;      // of the reference
  std::string repository;  // empty when only the registry is meant
  std::optional<Credentials> credentials;
};

class Endpoint {
 public:
  // Reads the certificates that `host` names.
  static Result<std::shared_ptr<Endpoint>> Make(std::shared_ptr<RegistryContext> context, HostEndpoint host,
                                                const RegistryTarget& target);

  [[nodiscard]] const HostEndpoint& host() const { return host_; }
  [[nodiscard]] std::string name() const { return host_.base.Host(); }
  // "https://host/v2/<repository><path>"; a mirror is told in the query which registry is meant.
  [[nodiscard]] Url UrlOf(const std::string& path) const;
  // For uploads: is `url` of this endpoint, so that it may be shown credentials?
  [[nodiscard]] bool Owns(const Url& url) const { return url.Origin() == host_.base.Origin(); }

  // What is the same for all requests: settings of TLS.
  [[nodiscard]] HttpRequest NewRequest(const std::string& method, Url url, const Stops& stops) const;
  // Sends once, and once more after a 401 that could be answered. `actions`: "pull" or "pull,push".
  Result<std::unique_ptr<HttpResponse>> Send(HttpRequest request, const std::string& actions);
  // The same, again after failures that may pass, up to `retries` times, as long as the registry says or with growing
  // pauses. The last answer is given as it is.
  Result<std::unique_ptr<HttpResponse>> SendPatiently(const HttpRequest& request, const std::string& actions,
                                                      unsigned retries);

 private:
  Endpoint(std::shared_ptr<RegistryContext> context, HostEndpoint host, const RegistryTarget& target, HttpTls tls);
  [[nodiscard]] std::string ScopeOf(const std::string& actions) const;

  const std::shared_ptr<RegistryContext> context_;
  const HostEndpoint host_;
  const std::string domain_, repository_;
  const HttpTls tls_;
  Authorizer authorizer_;
};

// What a status that is no success means, with the code of the registry's own error document if it has a known one:
// "404 Not Found (MANIFEST_UNKNOWN)". Reads that document.
Error StatusError(HttpResponse& response);
// How long the answer asks to wait; nothing when it does not.
std::optional<std::chrono::milliseconds> AskedDelay(const HttpResponse& response);

}  // namespace fermata::overlay
