// Policy: which images may come in, by the containers policy.json (containers-policy.json(5)): for each scope a list of
// requirements that all have to be met: insecureAcceptAnything, reject, sigstoreSigned by key. Pure; what is foreign
// here are the signatures, the file is the administrator's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/reference.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

enum class IdentityMatch : uint8_t {
  kExact,              // matchExact
  kRepoDigestOrExact,  // matchRepoDigestOrExact
  kRepository,         // matchRepository
  kExactReference,     // exactReference; `identity` is it
  kExactRepository,    // exactRepository
  kRemap,              // remapIdentity; `prefix` to `signed_prefix`
};

struct Requirement {
  enum class Kind : uint8_t { kAccept, kReject, kSigstoreSigned };
  Kind kind = Kind::kReject;
  std::vector<std::string> keys;  // PEM; one of them has to have signed
  IdentityMatch match = IdentityMatch::kRepoDigestOrExact;
  std::string identity;
  std::string prefix, signed_prefix;
};

// Reads what a file of the policy is called there (keyPath).
using KeyReader = Result<std::string> (*)(const std::string& path);

class Policy {
 public:
  // Everything is accepted.
  Policy() : default_{{Requirement::Kind::kAccept}} {}

  // kInvalidArgument with `name` for what is no policy: an unknown key, an unknown type, one that needs a service
  // (fulcio, rekor) or GPG keys (signedBy).
  static Result<Policy> Parse(std::string_view text, const std::string& name, KeyReader read_key);
  // The file at the first of `paths` that exists; none: everything is accepted.
  static Result<Policy> Read(const std::vector<std::string>& paths);

  // What an image that is pulled as `name` has to meet.
  [[nodiscard]] const std::vector<Requirement>& For(const Reference& name) const;

 private:
  std::vector<Requirement> default_;
  std::map<std::string, std::vector<Requirement>> scopes_;  // of the transport "docker"
};

// A signature as cosign stores it: the signed text and the signature of its SHA-256.
struct ImageSignature {
  std::string payload;
  std::string signature;  // raw bytes
};

// Whether one of `signatures` says by one of the keys that `manifest_digests` (any of them) is `name`. The error tells
// of each signature why it does not.
Result<> CheckSignatures(const Requirement& requirement, const Reference& name,
                         const std::vector<std::string>& manifest_digests,
                         const std::vector<ImageSignature>& signatures);

}  // namespace fermata::overlay
