// Headers of a registry's answers: a Location leads to a URL that is read again as it is printed and never to another
// host by a trick; ranges and delays are within their limits.
#include "overlay/registry/content_range.h"
#include "overlay/registry/manifest_fetch.h"
#include "overlay/registry/retry.h"
#include "overlay/registry/url.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckLocation(std::string_view location) {
  static const Url base = ParseUrl("https://reg.example/v2/a/blobs/x?ns=y").value();
  const auto url = ResolveUrl(base, location);
  if (!url) return fuzz::CheckError(url.error());
  const auto again = ParseUrl(url->ToString());
  Check(again && again->Origin() == url->Origin() && again->ToString() == url->ToString(), "a URL that changes");
  Check(url->host.find_first_of("@/\\?# ") == std::string::npos && url->port != 0, "a host that is none");
  (void)SharesDomain("reg.example", url->host);
}

void CheckNumbers(std::string_view text) {
  if (const auto range = ParseContentRange(text)) Check(range->first <= range->last, "a range that runs backwards");
  if (const auto delay = ParseRetryAfter(text, std::chrono::seconds(784111777))) {
    Check(delay->count() >= 0 && *delay <= kMaxRetryAfter, "a delay beyond the limit");
  }
}

// The first line is the Content-Type.
void CheckDocument(std::string_view text) {
  const std::string_view type = fuzz::TakeUntil(text, "\n");
  const auto document = CheckManifest(std::string(text), type, "");
  if (!document) return fuzz::CheckError(document.error());
  Check(document->descriptor.size_bytes == text.size(), "another size");
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fermata::fuzz::TextOf(data, size);
  fermata::overlay::CheckLocation(text);
  fermata::overlay::CheckNumbers(text);
  fermata::overlay::CheckDocument(text);
  return 0;
}
