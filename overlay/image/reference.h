// Reference: the name of an image, by the grammar of the distribution specification and with the defaults
// that Docker introduced ("busybox" is docker.io/library/busybox:latest). Plain data; parsing is pure.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::overlay {

struct Reference {
  std::string domain;      // "docker.io", "localhost:5000"
  std::string repository;  // "library/busybox"
  std::string tag;         // empty when there is a digest and no tag
  std::string digest;      // "sha256:..." or empty

  [[nodiscard]] std::string Name() const;      // domain/repository
  [[nodiscard]] std::string Tagged() const;    // domain/repository:tag; empty without a tag
  [[nodiscard]] std::string Digested() const;  // domain/repository@digest; empty without a digest
  [[nodiscard]] std::string ToString() const;  // all that is there
  [[nodiscard]] std::string Familiar() const;  // as people write it: without docker.io/library/ where that is the same
};

// kInvalidArgument for what is not a reference or longer than 4,096 bytes. 64 hex digits, also after
// "sha256:", are an image id, never a name. Digests are sha256 or sha512.
Result<Reference> ParseReference(std::string_view text);

}  // namespace fermata::overlay
