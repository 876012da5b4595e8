// SendFollowing: a request, and those that redirects make of it, by rules of our own: five at most, never from https to
// http, and what was meant for one origin (scheme, host, port) is not taken to another: Authorization and all other
// headers that the request marks as private, client certificates, leave not to verify. GET and HEAD only: for other
// methods a redirect is an answer like any other. Thread-safe.
#pragma once

#include <memory>

#include "overlay/registry/http.h"

namespace fermata::overlay {

struct Outgoing {
  HttpRequest request;          // its headers may go anywhere
  HttpHeaders private_headers;  // for the origin of the request only
};

struct Followed {
  std::unique_ptr<HttpResponse> response;
  bool left_origin = false;  // it comes from somewhere that the request was not meant for
};

Result<Followed> SendFollowing(HttpTransport& transport, const Outgoing& outgoing);

}  // namespace fermata::overlay
