// SHA-256 digests in their written form "sha256:<64 lower-case hex digits>" (OCI image-spec, descriptor.md).
// Sha256 owns its state and is used by one thread at a time; the functions keep no state.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace fermata::overlay {

class Sha256 {
 public:
  Sha256();
  void Update(std::string_view data);
  // The digest of all data so far; nothing may be added after it.
  [[nodiscard]] std::string Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string DigestOf(std::string_view data);

// True for "sha256:" and 64 lower-case hex digits, which makes HexOf() safe as a file name.
bool IsDigest(std::string_view text);
bool IsLowerHex(std::string_view text);  // not empty

// The part behind "sha256:" of a text for which IsDigest is true.
std::string HexOf(std::string_view digest);

}  // namespace fermata::overlay
