#include "overlay/registry/http_redirect.h"

namespace fermata::overlay {
namespace {

constexpr int kMaxRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error Refused(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, "redirect: ", reason); }

}  // namespace

Result<Followed> SendFollowing(HttpTransport& transport, const Outgoing& outgoing) {
  HttpRequest next = outgoing.request;
  const std::string origin = next.url.Origin();
  next.headers.insert(next.headers.end(), outgoing.private_headers.begin(), outgoing.private_headers.end());
  bool left = false;
  const bool follows = next.method == "GET" || next.method == "HEAD";
  for (int redirects = 0;; ++redirects) {
    auto response = transport.Send(next);
    if (!response && redirects > 0) return std::move(response).error().Wrap("redirected to ", next.url.Host());
    if (!response) return std::move(response).error();
    if (!follows || !IsRedirect((*response)->status())) return Followed{std::move(*response), left};
    if (redirects == kMaxRedirects) return Refused("more than 5, one after the other");
    ASSIGN_OR_RETURN(Url target, ResolveUrl(next.url, (*response)->Header("location")), "redirect");
    if (next.url.https && !target.https) return Refused("from https to http, which is never followed");
    (*response)->Discard();
    if (target.Origin() != origin) {
      // For good, also when a later one leads back: who is in between has chosen the path.
      left = true;
      next.headers = outgoing.request.headers;
      next.tls.verify = true;
      next.tls.client_cert.clear();
      next.tls.client_key.clear();
    }
    next.url = std::move(target);
  }
}

}  // namespace fermata::overlay
