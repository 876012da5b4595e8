// RegistryClient: images of registries (OCI distribution-spec 1.1, and Docker's registry with schema 2).
//
// Where a registry is and how it is talked to: per-host configuration as containerd has it (hosts.h), read at each
// Resolve. Who asks: the credentials of the caller, else those of the configured files (auth_file.h). Thread-safe; one
// instance for the whole process. Every wait has a no-progress limit and ends soon after a cancellation.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "overlay/cancellation.h"
#include "overlay/image/blob_provider.h"
#include "overlay/image/config.h"
#include "overlay/image/reference.h"
#include "overlay/registry/credentials.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct RegistryOptions {
  std::string hosts_dir = "/etc/fermata/certs.d";  // <hosts_dir>/<host[:port]>/hosts.toml and _default/
  std::vector<std::string> auth_files;             // docker's config.json form; the first that knows the host counts
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds response_timeout = std::chrono::seconds(30);     // to the end of the headers
  std::chrono::milliseconds no_progress_timeout = std::chrono::seconds(60);  // never a limit of the whole
  std::chrono::milliseconds retry_delay = std::chrono::milliseconds(500);    // of the first retry; doubles, with jitter
  unsigned retries = 4;                                                      // of one request, besides the first try
  size_t streams_per_host = 8;                  // layers, or parts of them, that are on the way at once
  uint64_t parallel_from = uint64_t{32} << 20;  // bytes: a blob of this size comes in parts, if the server can
  uint64_t part_bytes = uint64_t{4} << 20;
  unsigned parts_at_once = 4;  // of one blob; this many times part_bytes wait in memory for a slow reader
};

// One image of one registry, as it was found by Resolve. Open() of a manifest or configuration obeys the cancellation
// that Resolve was given; a layer is ended only by ByteSource::Interrupt, so that it may serve others when the caller
// of Resolve has gone. Thread-safe, shared by all that read of it.
class RemoteImage : public BlobProvider {
 public:
  // The manifest or index that the name stands for, digest and size verified.
  [[nodiscard]] virtual const Descriptor& target() const = 0;
  // Of target(), as the registry said and the document agrees.
  [[nodiscard]] virtual const std::string& media_type() const = 0;
};

class RegistryClient {
 public:
  explicit RegistryClient(RegistryOptions options);
  ~RegistryClient();
  RegistryClient(const RegistryClient&) = delete;
  RegistryClient& operator=(const RegistryClient&) = delete;

  // Finds what `reference` names, by asking the mirrors in order, then the registry; a digest in it wins over a tag.
  // kNotFound: no such repository or tag, by the word of the registry; kFailedPrecondition: access denied;
  // kUnavailable: no endpoint answered (the text says which and why); kInvalidArgument: bad configuration or a bad
  // document. Texts name registry, repository and step, never a secret.
  Result<std::shared_ptr<RemoteImage>> Resolve(const Reference& reference,
                                               const std::optional<Credentials>& credentials,
                                               std::shared_ptr<const Cancellation> cancellation);

  // Stores the blobs that the registry itself (no mirror) lacks, then the manifest under the tag (or digest) of
  // `reference`. `blobs` gives the bytes of everything that `manifest_json` names, also of the manifests of an index.
  Result<> Push(const Reference& reference, const std::string& manifest_json, const std::string& media_type,
                const BlobProvider& blobs, const std::optional<Credentials>& credentials,
                std::shared_ptr<const Cancellation> cancellation);

  // Whether the registry at `host` accepts `credentials`; for `fermata login`.
  Result<> CheckLogin(const std::string& host, const Credentials& credentials,
                      std::shared_ptr<const Cancellation> cancellation);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fermata::overlay
