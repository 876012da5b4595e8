#include "overlay/registry/registry_client.h"

#include <algorithm>

#include "overlay/digest.h"
#include "overlay/registry/auth_file.h"
#include "overlay/registry/endpoint.h"
#include "overlay/registry/manifest_fetch.h"
#include "overlay/registry/push.h"
#include "overlay/registry/remote_image.h"

namespace fermata::overlay {
namespace {

using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

Stops StopsOf(std::shared_ptr<const Cancellation> cancellation) {
  Stops stops;
  if (cancellation != nullptr) stops.causes.push_back(std::move(cancellation));
  return stops;
}

// A certificate that does not convince is for the caller a registry that cannot be had; for us it was no other try.
Error ForCaller(Error error) {
  return error.code() == ErrorCode::kInternal ? std::move(error).WithCode(ErrorCode::kUnavailable) : std::move(error);
}

std::string PlaceText(const Reference& reference) {
  return "registry " + reference.domain + (reference.repository.empty() ? "" : ": " + reference.repository);
}

Result<> CheckDigest(const Reference& reference) {
  if (reference.digest.empty() || IsDigest(reference.digest)) return {};
  return Error::Make(ErrorCode::kUnimplemented, PlaceText(reference), ": only sha256 digests are supported");
}

}  // namespace

class RegistryClient::Impl {
 public:
  explicit Impl(RegistryOptions options) : context_(std::make_shared<RegistryContext>(std::move(options))) {}

  Result<std::shared_ptr<RemoteImage>> Resolve(const Reference& reference,
                                               const std::optional<Credentials>& credentials,
                                               std::shared_ptr<const Cancellation> cancellation) {
    RETURN_IF_ERROR(CheckDigest(reference));
    const bool by_digest = !reference.digest.empty();
    ASSIGN_OR_RETURN(Endpoints endpoints, Find(reference, credentials, [&](const HostEndpoint& host) {
                       return by_digest ? host.pull : host.pull && host.resolve;
                     }));
    const std::string& name = by_digest ? reference.digest : reference.tag;
    const Stops stops = StopsOf(cancellation);
    std::string failures;
    for (size_t i = 0; i < endpoints.size(); ++i) {
      const bool last = i + 1 == endpoints.size();
      auto document = FetchManifest(*endpoints[i], name, stops, last ? context_->options.retries : 0);
      if (document) {
        std::rotate(endpoints.begin(), endpoints.begin() + static_cast<ptrdiff_t>(i), endpoints.end());
        ASSIGN_OR_RETURN(Endpoints pull, AddPullOnly(reference, credentials, std::move(endpoints), by_digest));
        ImagePlace place{std::move(pull), PlaceText(reference), context_->options};
        return MakeRemoteImage(std::move(place), std::move(*document), std::move(cancellation));
      }
      const Error error = ForCaller(std::move(document).error());
      if (last || error.code() == ErrorCode::kCancelled) {
        return Error(error).Wrap(PlaceText(reference), ": fetch manifest ", name,
                                 failures.empty() ? "" : ": " + failures + endpoints[i]->name());
      }
      failures += endpoints[i]->name() + ": " + error.message() + "; ";
    }
    return Error::Make(ErrorCode::kInvalidArgument, PlaceText(reference), ": no host is configured for pulling");
  }

  Result<> Push(const Reference& reference, const std::string& manifest_json, const std::string& media_type,
                const BlobProvider& blobs, const std::optional<Credentials>& credentials, Stops stops) {
    RETURN_IF_ERROR(CheckDigest(reference));
    ASSIGN_OR_RETURN(const Endpoints endpoints,
                     Find(reference, credentials, [](const HostEndpoint& host) { return host.origin && host.push; }));
    if (endpoints.empty()) {
      return Error::Make(ErrorCode::kInvalidArgument, PlaceText(reference), ": no host is configured for pushing");
    }
    if (!reference.digest.empty() && reference.digest != DigestOf(manifest_json)) {
      return Error::Make(ErrorCode::kInvalidArgument, PlaceText(reference), ": push manifest ", reference.digest,
                         ": it has another digest");
    }
    const PushJob job{*endpoints.front(), blobs, context_->options, std::move(stops)};
    const std::string& name = reference.tag.empty() ? reference.digest : reference.tag;
    auto pushed = PushManifest(job, name, manifest_json, media_type);
    if (!pushed) return ForCaller(std::move(pushed).error()).Wrap(PlaceText(reference));
    return {};
  }

  Result<> CheckLogin(const std::string& host, const Credentials& credentials, const Stops& stops) {
    Reference registry;
    registry.domain = NormalizeAuthKey(host);
    ASSIGN_OR_RETURN(const Endpoints endpoints,
                     Find(registry, credentials, [](const HostEndpoint& found) { return found.origin; }));
    Endpoint& endpoint = *endpoints.front();  // the registry itself is always among them
    const HttpRequest request = endpoint.NewRequest("GET", endpoint.UrlOf(""), stops);
    auto response = endpoint.SendPatiently(request, "", context_->options.retries);
    if (!response) return ForCaller(std::move(response).error()).Wrap(PlaceText(registry), ": log in");
    if ((*response)->status() != 200) return StatusError(**response).Wrap(PlaceText(registry), ": log in");
    return {};
  }

 private:
  template <typename Suits>
  Result<Endpoints> Find(const Reference& reference, const std::optional<Credentials>& credentials,
                         const Suits& suits) {
    ASSIGN_OR_RETURN(std::vector<HostEndpoint> hosts, FindHosts(context_->options.hosts_dir, reference.domain),
                     PlaceText(reference));
    const RegistryTarget target{reference.domain, reference.repository, credentials};
    Endpoints endpoints;
    for (HostEndpoint& host : hosts) {
      if (!suits(host)) continue;
      ASSIGN_OR_RETURN(endpoints.emplace_back(), Endpoint::Make(context_, std::move(host), target),
                       PlaceText(reference));
    }
    return endpoints;
  }

  // Hosts that may not say what a tag is can still have the blobs.
  Result<Endpoints> AddPullOnly(const Reference& reference, const std::optional<Credentials>& credentials,
                                Endpoints endpoints, bool by_digest) {
    if (by_digest) return endpoints;
    ASSIGN_OR_RETURN(const Endpoints others,
                     Find(reference, credentials, [](const HostEndpoint& host) { return host.pull && !host.resolve; }));
    endpoints.insert(endpoints.begin(), others.begin(), others.end());
    return endpoints;
  }

  const std::shared_ptr<RegistryContext> context_;
};

RegistryClient::RegistryClient(RegistryOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
RegistryClient::~RegistryClient() = default;

Result<std::shared_ptr<RemoteImage>> RegistryClient::Resolve(const Reference& reference,
                                                             const std::optional<Credentials>& credentials,
                                                             std::shared_ptr<const Cancellation> cancellation) {
  return impl_->Resolve(reference, credentials, std::move(cancellation));
}

Result<> RegistryClient::Push(const Reference& reference, const std::string& manifest_json,
                              const std::string& media_type, const BlobProvider& blobs,
                              const std::optional<Credentials>& credentials,
                              std::shared_ptr<const Cancellation> cancellation) {
  return impl_->Push(reference, manifest_json, media_type, blobs, credentials, StopsOf(std::move(cancellation)));
}

Result<> RegistryClient::CheckLogin(const std::string& host, const Credentials& credentials,
                                    std::shared_ptr<const Cancellation> cancellation) {
  return impl_->CheckLogin(host, credentials, StopsOf(std::move(cancellation)));
}

}  // namespace fermata::overlay
