#include "overlay/registry/manifest_fetch.h"

#include <algorithm>

#include "overlay/digest.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

struct ManifestType {
  std::string_view name;
  MediaKind kind;
};
constexpr ManifestType kTypes[] = {
    {"application/vnd.oci.image.index.v1+json", MediaKind::kIndex},
    {"application/vnd.oci.image.manifest.v1+json", MediaKind::kManifest},
    {"application/vnd.docker.distribution.manifest.list.v2+json", MediaKind::kIndex},
    {"application/vnd.docker.distribution.manifest.v2+json", MediaKind::kManifest},
};
// Said by servers that do not know what they have; then the document has to.
constexpr std::string_view kUntold[] = {"", "application/json", "text/plain", "application/octet-stream"};
constexpr std::string_view kSchema1[] = {"application/vnd.docker.distribution.manifest.v1+json",
                                         "application/vnd.docker.distribution.manifest.v1+prettyjws"};

Error Invalid(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, reason); }

Error Schema1() {
  return Invalid("a manifest of schema 1, which is not supported: push the image again with a newer tool");
}

template <typename List>
bool Contains(const List& list, std::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, 100));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c >= 0x7f; }, '?');
  return shown;
}

// Content-Type without parameters, in lower case.
std::string BareType(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  std::string bare;
  for (const char c : content_type) {
    if (c != ' ' && c != '\t') bare += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return bare;
}

// What the document says itself; empty if nothing.
Result<std::string> OwnType(std::string_view text) {
  const auto document = ParseJson(text, "manifest");
  if (!document || !document->is_object()) return Invalid("not a JSON object");
  const auto version = document->find("schemaVersion");
  if (version != document->end() && version->is_number() && *version == 1) return Schema1();
  const auto own = document->find("mediaType");
  if (own == document->end() || own->is_null()) return std::string();
  if (!own->is_string()) return Invalid("its mediaType is not a text");
  return own->get<std::string>();
}

Result<ManifestType> TypeOf(std::string_view text, std::string_view content_type) {
  const std::string told = BareType(content_type);
  if (Contains(kSchema1, told)) return Schema1();
  ASSIGN_OR_RETURN(const std::string own, OwnType(text));
  const bool untold = Contains(kUntold, told);
  if (!untold && !own.empty() && own != told) {
    return Invalid("its Content-Type is " + Shown(told) + ", but its mediaType " + Shown(own));
  }
  const std::string& name = untold ? own : told;
  const auto* const type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const ManifestType& known) { return known.name == name; });
  if (type == std::end(kTypes)) return Invalid("its type is " + Shown(name) + ", which is no manifest");
  return *type;
}

}  // namespace

std::string ManifestAccept() {
  std::string accept;
  for (const ManifestType& type : kTypes) accept.append(accept.empty() ? "" : ", ").append(type.name);
  return accept;
}

Result<RemoteDocument> CheckManifest(std::string text, std::string_view content_type, std::string_view digest) {
  const std::string found = DigestOf(text);
  if (!digest.empty() && found != digest) return Invalid("its digest is " + found + ", not " + Shown(digest));
  ASSIGN_OR_RETURN(const ManifestType type, TypeOf(text, content_type));
  RETURN_IF_ERROR(CheckDocumentKind(text, type.kind));
  RemoteDocument document;
  document.descriptor.kind = type.kind;
  document.descriptor.digest = found;
  document.descriptor.size_bytes = text.size();
  document.media_type = type.name;
  document.text = std::move(text);
  return document;
}

Result<RemoteDocument> FetchManifest(Endpoint& endpoint, const std::string& name, const Stops& stops,
                                     unsigned retries) {
  HttpRequest request = endpoint.NewRequest("GET", endpoint.UrlOf("/manifests/" + name), stops);
  request.headers.emplace_back("Accept", ManifestAccept());
  request.buffer_bytes = kMaxDocumentBytes;  // never pauses what shares its connection
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpResponse> response, endpoint.SendPatiently(request, "pull", retries));
  if (response->status() != 200) return StatusError(*response);
  ASSIGN_OR_RETURN(std::string text, response->ReadAll(kMaxDocumentBytes));
  std::string expected = IsDigest(name) ? name : std::string(response->Header("docker-content-digest"));
  if (!IsDigest(expected)) expected.clear();  // by another algorithm: that of a tag is only a hint
  return CheckManifest(std::move(text), response->Header("content-type"), expected);
}

}  // namespace fermata::overlay
