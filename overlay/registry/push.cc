#include "overlay/registry/push.h"

#include "overlay/registry/manifest_fetch.h"
#include "overlay/registry/retry.h"

namespace fermata::overlay {
namespace {

constexpr const char* kActions = "pull,push";

// Where the registry wants the bytes of a new blob.
Result<Url> StartUpload(const PushJob& job) {
  Endpoint& endpoint = job.endpoint;
  const HttpRequest request = endpoint.NewRequest("POST", endpoint.UrlOf("/blobs/uploads/"), job.stops);
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpResponse> response,
                   endpoint.SendPatiently(request, kActions, job.options.retries), "start upload");
  if (response->status() != 202) return StatusError(*response).Wrap("start upload");
  response->Discard();
  ASSIGN_OR_RETURN(Url url, ResolveUrl(request.url, response->Header("location")), "start upload");
  if (!endpoint.Owns(url)) {
    // The bytes would go there with what proves who sends them.
    return Error::Make(ErrorCode::kFailedPrecondition, "start upload: the registry sends to another place, ",
                       url.Host());
  }
  return url;
}

Result<> UploadOnce(const PushJob& job, const Descriptor& blob) {
  ASSIGN_OR_RETURN(Url url, StartUpload(job));
  url.query += (url.query.empty() ? "digest=" : "&digest=") + PercentEncode(blob.digest);
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, job.blobs.Open(blob));
  HttpRequest request = job.endpoint.NewRequest("PUT", std::move(url), job.stops);
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  if (blob.size_bytes > 0) request.upload = source.get();
  request.upload_bytes = blob.size_bytes;
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpResponse> response, job.endpoint.Send(std::move(request), kActions));
  if (response->status() != 201) return StatusError(*response);
  response->Discard();
  return {};
}

Result<bool> HasBlob(const PushJob& job, const Descriptor& blob) {
  const HttpRequest request = job.endpoint.NewRequest("HEAD", job.endpoint.UrlOf("/blobs/" + blob.digest), job.stops);
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpResponse> response,
                   job.endpoint.SendPatiently(request, kActions, job.options.retries));
  if (response->status() == 404) return false;
  if (response->status() != 200) return StatusError(*response);
  return true;
}

Result<> PushBlob(const PushJob& job, const Descriptor& blob) {
  ASSIGN_OR_RETURN(const bool there, HasBlob(job, blob));
  for (unsigned attempt = 0; !there; ++attempt) {
    auto uploaded = UploadOnce(job, blob);
    if (uploaded || uploaded.error().code() != ErrorCode::kUnavailable || attempt == job.options.retries) {
      return uploaded;
    }
    RETURN_IF_ERROR(job.stops.Sleep(RetryDelay(job.options.retry_delay, attempt)));
  }
  return {};
}

Result<> PutManifest(const PushJob& job, const std::string& name, const std::string& text,
                     const std::string& media_type) {
  HttpRequest request = job.endpoint.NewRequest("PUT", job.endpoint.UrlOf("/manifests/" + name), job.stops);
  request.headers.emplace_back("Content-Type", media_type);
  request.body = text;
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpResponse> response,
                   job.endpoint.SendPatiently(request, kActions, job.options.retries), "push manifest ", name);
  if (response->status() != 201) return StatusError(*response).Wrap("push manifest ", name);
  response->Discard();
  return {};
}

Result<> PushOfIndex(const PushJob& job, const std::string& text) {
  ASSIGN_OR_RETURN(const std::vector<Descriptor> entries, ParseIndex(text));
  for (const Descriptor& entry : entries) {
    if (entry.kind != MediaKind::kManifest) {
      return Error::Make(ErrorCode::kInvalidArgument, "an index in an index, ", entry.digest);
    }
    ASSIGN_OR_RETURN(std::string manifest, ReadBlob(job.blobs, entry));
    auto document = CheckManifest(manifest, "", entry.digest);
    // Without a word in the document it can only be OCI's: Docker's always say what they are.
    if (!document) document = CheckManifest(manifest, "application/vnd.oci.image.manifest.v1+json", entry.digest);
    if (!document) return std::move(document).error().Wrap(entry.digest);
    RETURN_IF_ERROR(PushManifest(job, entry.digest, manifest, document->media_type));
  }
  return {};
}

}  // namespace

Result<> PushManifest(const PushJob& job, const std::string& name, const std::string& text,
                      const std::string& media_type) {
  ASSIGN_OR_RETURN(const RemoteDocument document, CheckManifest(text, media_type, ""), "push manifest ", name);
  if (document.descriptor.kind == MediaKind::kIndex) {
    RETURN_IF_ERROR(PushOfIndex(job, text));
  } else {
    ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(text));
    RETURN_IF_ERROR(PushBlob(job, manifest.config), "push blob ", manifest.config.digest);
    for (const Descriptor& layer : manifest.layers) RETURN_IF_ERROR(PushBlob(job, layer), "push blob ", layer.digest);
  }
  return PutManifest(job, name, text, document.media_type);
}

}  // namespace fermata::overlay
