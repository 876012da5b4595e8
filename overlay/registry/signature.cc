// The check of sigstore signatures; declared in policy.h.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>

#include "overlay/registry/policy.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxPayloadBytes = size_t{64} << 10;
constexpr const char* kPayloadType = "cosign container image signature";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { (void)BIO_free(bio); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Error Invalid(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, reason); }

Result<> VerifyBytes(const std::string& pem, const ImageSignature& signature) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<EVP_PKEY, FreeKey> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return Invalid("the key of the policy is not a public key in PEM");
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const bool hashes_itself = EVP_PKEY_base_id(key.get()) == EVP_PKEY_ED25519;
  const EVP_MD* const digest = hashes_itself ? nullptr : EVP_sha256();
  if (EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) != 1) {
    return Invalid("the key of the policy is of a kind that does not sign");
  }
  const int good = EVP_DigestVerify(
      context.get(), reinterpret_cast<const unsigned char*>(signature.signature.data()), signature.signature.size(),
      reinterpret_cast<const unsigned char*>(signature.payload.data()), signature.payload.size());
  return good == 1 ? Result<>() : Invalid("not made by the key of the policy");
}

struct SignedClaim {
  std::string reference, digest;
};

Result<SignedClaim> ReadPayload(const std::string& payload) {
  if (payload.size() > kMaxPayloadBytes) return Invalid("what is signed is larger than 64 KiB");
  ASSIGN_OR_RETURN(const Json json, ParseJson(payload, "signed text"));
  return ReadJson("signed text", [&]() -> SignedClaim {
    const Json& critical = json.at("critical");
    if (critical.at("type").get<std::string>() != kPayloadType) return {};
    return {critical.at("identity").at("docker-reference").get<std::string>(),
            critical.at("image").at("docker-manifest-digest").get<std::string>()};
  });
}

// As it stands there: one without a tag names no tag, not "latest".
Result<Reference> ParseStated(const std::string& text) {
  ASSIGN_OR_RETURN(Reference stated, ParseReference(text));
  const size_t slash = text.rfind('/');
  if (text.find(':', slash == std::string::npos ? 0 : slash) == std::string::npos) stated.tag.clear();
  return stated;
}

bool SameRepository(const Reference& a, const Reference& b) { return a.Name() == b.Name(); }

bool SameExactly(const Reference& wanted, const Reference& stated) {
  return SameRepository(wanted, stated) && !wanted.tag.empty() && wanted.tag == stated.tag;
}

// "a/b" is below "a" and is itself, but "ab" is not.
bool HasPrefix(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '/');
}

bool IdentityFits(const Requirement& requirement, const Reference& name, const Reference& stated) {
  switch (requirement.match) {
    case IdentityMatch::kExact:
      return SameExactly(name, stated);
    case IdentityMatch::kRepository:
      return SameRepository(name, stated);
    case IdentityMatch::kExactReference: {
      const auto wanted = ParseReference(requirement.identity);
      return wanted && SameExactly(*wanted, stated);
    }
    case IdentityMatch::kExactRepository: {
      const auto wanted = ParseReference(requirement.identity);
      return wanted && SameRepository(*wanted, stated);
    }
    case IdentityMatch::kRepoDigestOrExact:
      return name.digest.empty() ? SameExactly(name, stated) : SameRepository(name, stated);
    case IdentityMatch::kRemap: {
      std::string mapped = name.Name();
      if (HasPrefix(mapped, requirement.prefix))
        mapped.replace(0, requirement.prefix.size(), requirement.signed_prefix);
      if (mapped != stated.Name()) return false;
      return !name.digest.empty() || (!name.tag.empty() && name.tag == stated.tag);
    }
  }
  return false;
}

Result<> CheckOne(const Requirement& requirement, const Reference& name, const std::vector<std::string>& digests,
                  const ImageSignature& signature) {
  Result<> signed_by_any = Invalid("the policy has no key");
  for (const std::string& key : requirement.keys) {
    signed_by_any = VerifyBytes(key, signature);
    if (signed_by_any) break;
  }
  RETURN_IF_ERROR(signed_by_any);
  // Only now are the bytes worth a look.
  ASSIGN_OR_RETURN(const SignedClaim claim, ReadPayload(signature.payload));
  if (std::find(digests.begin(), digests.end(), claim.digest) == digests.end()) return Invalid("is for another digest");
  const auto stated = ParseStated(claim.reference);
  if (!stated || !IdentityFits(requirement, name, *stated)) {
    return Invalid("is for the name " + claim.reference.substr(0, 256));
  }
  return {};
}

}  // namespace

Result<> CheckSignatures(const Requirement& requirement, const Reference& name,
                         const std::vector<std::string>& manifest_digests,
                         const std::vector<ImageSignature>& signatures) {
  std::string reasons;
  for (const ImageSignature& signature : signatures) {
    const Result<> good = CheckOne(requirement, name, manifest_digests, signature);
    if (good) return {};
    reasons += (reasons.empty() ? "" : "; ") + std::string("a signature ") + good.error().message();
  }
  if (reasons.empty()) reasons = "the image is not signed";
  return Error::Make(ErrorCode::kFailedPrecondition, reasons);
}

}  // namespace fermata::overlay
