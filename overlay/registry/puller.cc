#include "overlay/registry/puller.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "overlay/image/resolve.h"
#include "overlay/registry/base64.h"
#include "runtime/base/error_word.h"
#include "runtime/base/json.h"
#include "runtime/base/metrics.h"

namespace fermata::overlay {
namespace {

metrics::Family pulls(metrics::Kind::kHistogram, "fermata_image_pull_duration_seconds",
                      "Time of pulls that have ended, by result: ok, or why not", {"result"});

constexpr const char* kSignatureAnnotation = "dev.cosignproject.cosign/signature";
constexpr size_t kMaxSignatures = 64;
constexpr uint64_t kMaxPayloadBytes = uint64_t{64} << 10;

Error WithPrefix(std::string_view prefix, const Error& error) {
  return Error(error.code(), std::string(prefix) + ": " + error.message(), error.saved_errno());
}

Error SignatureFailure(const Reference& reference, std::string_view reason) {
  return Error::Make(ErrorCode::kFailedPrecondition, "SignatureValidationFailed: ", reference.ToString(), ": ", reason);
}

struct SignatureEntry {
  Descriptor payload;
  std::string signature;
};

// The layers of a manifest that cosign has made.
Result<std::vector<SignatureEntry>> ParseSignatures(const std::string& manifest) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(manifest, "signatures"));
  std::vector<SignatureEntry> entries;
  const auto read = ReadJson("signatures", [&]() -> bool {
    for (const Json& layer : json.at("layers")) {
      if (entries.size() == kMaxSignatures) break;
      const Json annotations = layer.value("annotations", Json::object());
      if (!annotations.contains(kSignatureAnnotation)) continue;
      SignatureEntry entry;
      entry.payload.kind = MediaKind::kLayer;
      entry.payload.digest = layer.at("digest").get<std::string>();
      entry.payload.size_bytes = layer.at("size").get<uint64_t>();
      entry.signature = annotations.at(kSignatureAnnotation).get<std::string>();
      if (IsDigest(entry.payload.digest) && entry.payload.size_bytes <= kMaxPayloadBytes) {
        entries.push_back(std::move(entry));
      }
    }
    return true;
  });
  if (!read) return read.error();
  return entries;
}

}  // namespace

Result<ImagePtr> ImagePuller::Pull(const std::string& name, const PullOptions& options) {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(name), "pull");
  const auto begin = std::chrono::steady_clock::now();
  auto image = PullByPolicy(reference, options);
  pulls.With({image ? "ok" : ErrorWord(image.error().code())}).Observe(std::chrono::steady_clock::now() - begin);
  if (image || image.error().code() != ErrorCode::kUnavailable) return image;
  return WithPrefix("RegistryUnavailable", image.error());
}

Result<ImagePtr> ImagePuller::PullByPolicy(const Reference& reference, const PullOptions& options) {
  auto policy = Policy::Read(policy_paths_);
  if (!policy) return SignatureFailure(reference, policy.error().message());
  const std::vector<Requirement>& requirements = policy->For(reference);
  const auto rejects = [](const Requirement& one) { return one.kind == Requirement::Kind::kReject; };
  if (std::any_of(requirements.begin(), requirements.end(), rejects)) {
    return SignatureFailure(reference, "the signature policy rejects it");
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<RemoteImage> remote,
                   registry_.Resolve(reference, options.credentials, options.cancellation));
  ASSIGN_OR_RETURN(const NewImage image, ResolveTarget(*remote, remote->target(), reference),
                   "pull " + reference.ToString());
  RETURN_IF_ERROR(CheckPolicy(requirements, reference, image, options));
  AddOptions adding{options.cancellation.get(), options.observer, /*keep_layers=*/true};
  ASSIGN_OR_RETURN(const std::vector<ImagePtr> added, store_.Add(remote, {image}, adding),
                   "pull " + reference.ToString());
  return added.front();
}

// A signature of the index is one of every manifest in it, by their digests.
Result<> ImagePuller::CheckPolicy(const std::vector<Requirement>& requirements, const Reference& reference,
                                  const NewImage& image, const PullOptions& options) {
  const auto is_signed = [](const Requirement& one) { return one.kind == Requirement::Kind::kSigstoreSigned; };
  if (std::none_of(requirements.begin(), requirements.end(), is_signed)) return {};
  std::vector<std::string> digests = {image.target_digest};
  if (image.manifest_digest != image.target_digest) digests.push_back(image.manifest_digest);
  std::vector<ImageSignature> signatures;
  for (const std::string& digest : digests) {
    ASSIGN_OR_RETURN(std::vector<ImageSignature> found, FetchSignatures(reference, digest, options));
    std::move(found.begin(), found.end(), std::back_inserter(signatures));
  }
  for (const Requirement& requirement : requirements) {
    if (!is_signed(requirement)) continue;
    const Result<> good = CheckSignatures(requirement, reference, digests, signatures);
    if (!good) return SignatureFailure(reference, good.error().message());
  }
  return {};
}

Result<std::vector<ImageSignature>> ImagePuller::FetchSignatures(const Reference& reference, const std::string& digest,
                                                                 const PullOptions& options) {
  Reference place{reference.domain, reference.repository, "sha256-" + HexOf(digest) + ".sig", ""};
  auto remote = registry_.Resolve(place, options.credentials, options.cancellation);
  if (!remote && remote.error().code() == ErrorCode::kNotFound) return std::vector<ImageSignature>{};
  if (!remote) return std::move(remote).error().Wrap("signatures");
  ASSIGN_OR_RETURN(const std::string manifest, ReadBlob(**remote, (*remote)->target()), "signatures");
  auto entries = ParseSignatures(manifest);
  if (!entries) return SignatureFailure(reference, entries.error().message());
  std::vector<ImageSignature> signatures;
  for (const SignatureEntry& entry : *entries) {
    ASSIGN_OR_RETURN(std::string payload, ReadBlob(**remote, entry.payload), "signatures");
    auto bytes = DecodeBase64(entry.signature);
    if (bytes) signatures.push_back({std::move(payload), std::move(bytes).value()});
  }
  return signatures;
}

Result<> ImagePuller::Repair(const DamagedLayer& layer, const PullOptions& options) {
  ASSIGN_OR_RETURN(const ImagePtr image, store_.Get(layer.image_id), "repair");
  Error last = Error::Make(ErrorCode::kFailedPrecondition, "repair ", layer.image_id,
                           ": no registry has given it: import it again");
  for (const std::string& name : image->repo_digests) {
    const auto reference = ParseReference(name);
    if (!reference || reference->domain == "localhost") continue;
    auto remote = registry_.Resolve(*reference, options.credentials, options.cancellation);
    if (!remote) {
      last = std::move(remote).error();
      continue;
    }
    Result<> repaired = store_.Repair(*image, layer.diff_id, *remote, *options.cancellation);
    if (repaired) return {};
    last = std::move(repaired).error();
  }
  return last;
}

}  // namespace fermata::overlay
