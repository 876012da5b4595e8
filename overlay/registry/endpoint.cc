#include "overlay/registry/endpoint.h"

#include <algorithm>

#include "overlay/registry/auth_file.h"
#include "overlay/registry/retry.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxErrorBytes = size_t{64} << 10;

HttpLimits LimitsOf(const RegistryOptions& options) {
  HttpLimits limits;
  limits.connect_timeout = options.connect_timeout;
  limits.response_timeout = options.response_timeout;
  limits.no_progress_timeout = options.no_progress_timeout;
  limits.streams_per_origin = options.streams_per_host;
  return limits;
}

// Whose credentials an endpoint gets: those of the asker, for the registry itself only; those of its own in the host
// file; else (nothing here) what its own file or the configured ones have for its name.
std::optional<Credentials> Given(const HostEndpoint& host, const RegistryTarget& target) {
  if (host.origin && target.credentials && !target.credentials->empty()) return target.credentials;
  return host.credentials;
}

Authorizer::Lookup LookupFor(const std::shared_ptr<RegistryContext>& context, const HostEndpoint& host,
                             const RegistryTarget& target) {
  const std::string name = host.origin ? target.domain : host.base.Host();
  std::vector<std::string> files = context->options.auth_files;
  if (!host.auth_file.empty()) files = {host.auth_file};
  return [options = &context->options, files = std::move(files), name,
          repository = target.repository](const Stops& stops) {
    return FindCredentials(files, {name, repository}, options->response_timeout, stops);
  };
}

// The codes of the distribution specification. Others are not shown: a hostile registry could make them of what it was
// sent.
std::string KnownErrorCode(std::string_view text) {
  constexpr std::string_view kCodes[] = {
      "BLOB_UNKNOWN",     "BLOB_UPLOAD_INVALID",   "BLOB_UPLOAD_UNKNOWN", "DENIED",
      "DIGEST_INVALID",   "MANIFEST_BLOB_UNKNOWN", "NAME_INVALID",        "MANIFEST_INVALID",
      "MANIFEST_UNKNOWN", "UNSUPPORTED",           "NAME_UNKNOWN",        "MANIFEST_UNVERIFIED",
      "SIZE_INVALID",     "TAG_INVALID",           "TOOMANYREQUESTS",     "UNKNOWN",
      "UNAUTHORIZED",     "RANGE_INVALID",         "UNAVAILABLE",         "PAGINATION_NUMBER_INVALID"};
  const auto document = ParseJson(text, "error");
  if (!document || !document->is_object()) return {};
  const auto errors = document->find("errors");
  if (errors == document->end() || !errors->is_array() || errors->empty() || !errors->front().is_object()) return {};
  const auto code = errors->front().find("code");
  if (code == errors->front().end() || !code->is_string()) return {};
  const auto text_of_code = code->get<std::string>();
  const bool known = std::find(std::begin(kCodes), std::end(kCodes), text_of_code) != std::end(kCodes);
  return known ? " (" + text_of_code + ")" : std::string();
}

ErrorCode CodeOf(int status) {
  if (status == 404) return ErrorCode::kNotFound;
  if (status == 408 || status == 429 || status >= 500) return ErrorCode::kUnavailable;
  return status >= 400 ? ErrorCode::kFailedPrecondition : ErrorCode::kInvalidArgument;
}

std::vector<Challenge> ChallengesOf(const HttpResponse& response) {
  std::vector<Challenge> challenges;
  for (const auto& [name, value] : response.headers()) {
    if (name != "www-authenticate") continue;
    for (Challenge& challenge : ParseChallenges(value)) challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace

RegistryContext::RegistryContext(RegistryOptions given) : options(std::move(given)), transport(LimitsOf(options)) {}

Result<std::shared_ptr<Endpoint>> Endpoint::Make(std::shared_ptr<RegistryContext> context, HostEndpoint host,
                                                 const RegistryTarget& target) {
  HttpTls tls;
  tls.verify = !host.skip_verify;
  tls.client_cert = host.client_cert;
  tls.client_key = host.client_key;
  for (const std::string& file : host.ca_files) {
    auto pem = ReadFileAt(AT_FDCWD, file, size_t{1} << 20);
    if (!pem) return std::move(pem).error().WithCode(ErrorCode::kInvalidArgument).Wrap("ca of ", host.base.Host());
    tls.ca_pem += *pem + "\n";
  }
  return std::shared_ptr<Endpoint>(new Endpoint(std::move(context), std::move(host), target, std::move(tls)));
}

Endpoint::Endpoint(std::shared_ptr<RegistryContext> context, HostEndpoint host, const RegistryTarget& target,
                   HttpTls tls)
    : context_(std::move(context)),
      host_(std::move(host)),
      domain_(target.domain),
      repository_(target.repository),
      tls_(std::move(tls)),
      authorizer_({.transport = context_->transport,
                   .tokens = context_->tokens,
                   .host = host_,
                   .tls = tls_,
                   .given = Given(host_, target),
                   .lookup = LookupFor(context_, host_, target)}) {}

Url Endpoint::UrlOf(const std::string& path) const {
  Url url = host_.base;
  url.path += "/" + (repository_.empty() ? std::string() : repository_ + path);
  if (!host_.origin) url.query = "ns=" + PercentEncode(domain_);
  return url;
}

HttpRequest Endpoint::NewRequest(const std::string& method, Url url, const Stops& stops) const {
  HttpRequest request;
  request.method = method;
  request.url = std::move(url);
  request.tls = tls_;
  request.stops = stops;
  return request;
}

std::string Endpoint::ScopeOf(const std::string& actions) const {
  return repository_.empty() ? std::string() : "repository:" + repository_ + ":" + actions;
}

Result<std::unique_ptr<HttpResponse>> Endpoint::Send(HttpRequest request, const std::string& actions) {
  const std::string scope = ScopeOf(actions);
  Outgoing outgoing;
  const Stops stops = request.stops;
  const bool upload = request.upload != nullptr;
  outgoing.request = std::move(request);
  for (bool last = false;; last = true) {
    const std::string authorization = authorizer_.Current(scope);
    outgoing.private_headers = host_.headers;
    if (!authorization.empty()) outgoing.private_headers.emplace_back("Authorization", authorization);
    ASSIGN_OR_RETURN(Followed answer, SendFollowing(context_->transport, outgoing));
    // A place that a redirect led to has nothing to ask of us.
    if (answer.response->status() != 401 || answer.left_origin || last) return std::move(answer.response);
    ASSIGN_OR_RETURN(const bool answered,
                     authorizer_.Answer(ChallengesOf(*answer.response), scope, authorization, stops));
    if (!answered) return std::move(answer.response);
    // What was read of an upload is gone: the caller has to begin anew.
    if (upload) return Error::Make(ErrorCode::kUnavailable, "the authorization expired");
    answer.response->Discard();
  }
}

Result<std::unique_ptr<HttpResponse>> Endpoint::SendPatiently(const HttpRequest& request, const std::string& actions,
                                                              unsigned retries) {
  for (unsigned attempt = 0;; ++attempt) {
    auto response = Send(request, actions);
    auto delay = RetryDelay(context_->options.retry_delay, attempt);
    if (response) {
      if (!IsPassing((*response)->status()) || attempt == retries) return response;
      delay = AskedDelay(**response).value_or(delay);
      (*response)->Discard();
    } else if (response.error().code() != ErrorCode::kUnavailable || attempt == retries) {
      return response;
    }
    RETURN_IF_ERROR(request.stops.Sleep(delay));
  }
}

Error StatusError(HttpResponse& response) {
  const auto document = response.ReadAll(kMaxErrorBytes);
  const std::string code = document ? KnownErrorCode(*document) : std::string();
  return Error::Make(CodeOf(response.status()), StatusText(response.status()), code);
}

std::optional<std::chrono::milliseconds> AskedDelay(const HttpResponse& response) {
  const std::string_view asked = response.Header("retry-after");
  if (asked.empty()) return std::nullopt;
  const auto here =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  return ParseRetryAfter(asked, ParseHttpDate(response.Header("date")).value_or(here));
}

}  // namespace fermata::overlay
