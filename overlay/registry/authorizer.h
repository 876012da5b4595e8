// Authorizer: what one place of a registry is shown of who asks, and how its challenges are answered (threats.md I-05):
// credentials go to the place that they are for, and to a token server only when that shares the place's domain or the
// host file lists it; else the token is asked for as nobody. Thread-safe; shared by all requests of one image.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "overlay/registry/challenge.h"
#include "overlay/registry/hosts.h"
#include "overlay/registry/token.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

class Authorizer {
 public:
  // Looks for credentials when a challenge asks for them first.
  using Lookup = std::function<Result<std::optional<Credentials>>(const Stops& stops)>;

  struct Setup {
    HttpTransport& transport;  // this and the next outlive the authorizer
    TokenCache& tokens;
    HostEndpoint host;
    HttpTls tls;
    std::optional<Credentials> given;  // used where they are not empty, else
    Lookup lookup;
  };
  explicit Authorizer(Setup setup);
  Authorizer(const Authorizer&) = delete;
  Authorizer& operator=(const Authorizer&) = delete;
  ~Authorizer();

  // The value of Authorization for a request of `scope` ("repository:a/b:pull"); empty for none.
  [[nodiscard]] std::string Current(const std::string& scope);
  // After a 401 to a request with `rejected`: whether there is something new to show.
  Result<bool> Answer(const std::vector<Challenge>& challenges, const std::string& scope, const std::string& rejected,
                      const Stops& stops);

 private:
  struct Grant {
    Credentials header;  // its registry_token is the value of the header
    std::optional<std::chrono::steady_clock::time_point> expires;
  };
  Result<std::optional<Credentials>> WhoAsks(const Stops& stops);
  Result<bool> AnswerBasic(const std::string& scope, const std::string& rejected, const Stops& stops);
  Result<bool> AnswerBearer(const Challenge& challenge, const std::string& scope, const std::string& rejected,
                            const Stops& stops);
  [[nodiscard]] bool MayBeTold(const Url& realm) const;
  void Keep(const std::string& scope, std::string header,
            std::optional<std::chrono::steady_clock::time_point> expires = std::nullopt);

  const Setup setup_;
  std::mutex mutex_;
  bool looked_up_;                          // mutex_
  std::optional<Credentials> credentials_;  // mutex_
  std::map<std::string, Grant> grants_;     // by scope; mutex_
};

}  // namespace fermata::overlay
