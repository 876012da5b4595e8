// Signer: a key of its own that signs as cosign does.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <string>

#include "overlay/registry/policy.h"
#include "runtime/base/json.h"

namespace fermata::overlay::testing {

class Signer {
 public:
  Signer() : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free) {}

  [[nodiscard]] std::string public_pem() const {
    const std::unique_ptr<BIO, void (*)(BIO*)> bio(BIO_new(BIO_s_mem()), [](BIO* b) { (void)BIO_free(b); });
    (void)PEM_write_bio_PUBKEY(bio.get(), key_.get());
    char* text = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<size_t>(size)};
  }

  [[nodiscard]] ImageSignature SignText(const std::string& payload) const {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::string signature(256, '\0');
    size_t size = signature.size();
    (void)EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    (void)EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                         reinterpret_cast<const unsigned char*>(payload.data()), payload.size());
    signature.resize(size);
    return {payload, signature};
  }

  [[nodiscard]] ImageSignature Sign(const std::string& name, const std::string& digest) const {
    const Json payload = {{"critical",
                           {{"type", "cosign container image signature"},
                            {"identity", {{"docker-reference", name}}},
                            {"image", {{"docker-manifest-digest", digest}}}}},
                          {"optional", nullptr}};
    return SignText(payload.dump());
  }

 private:
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_;
};

}  // namespace fermata::overlay::testing
