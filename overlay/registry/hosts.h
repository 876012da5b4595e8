// Hosts: where a registry is and how it is talked to: its mirrors in order, then the registry itself. From hosts.toml
// in the directory form of containerd; README.md lists the keys, those of our own marked. Values; ParseHosts is pure.
// Errors are kInvalidArgument and name file and line, never a value that may be a secret.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/registry/credentials.h"
#include "overlay/registry/http_exchange.h"
#include "overlay/registry/url.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct HostEndpoint {
  Url base;             // its path is what stands before "/<repository>/manifests/...", mostly "/v2"
  bool origin = false;  // the registry itself, which the credentials of the asker are for; else a mirror
  bool pull = true, resolve = true, push = true;
  bool skip_verify = false;
  std::vector<std::string> ca_files;
  std::string client_cert, client_key;  // the key is in the certificate's file when empty
  HttpHeaders headers;                  // sent with every request; may be secrets
  std::optional<Credentials> credentials;
  std::string auth_file;                 // instead of them: docker's config.json form
  std::vector<std::string> token_hosts;  // besides its own domain, who may be told the credentials
};

// `text` is that of the file `path`; relative paths in it start from its directory. `registry` is the domain of a
// reference. The registry itself is last, unless it is among the hosts that the file names.
Result<std::vector<HostEndpoint>> ParseHosts(std::string_view text, const std::string& path,
                                             const std::string& registry);

// As the first of <host>_<port>_/, <host[:port]>/ and _default/ below `hosts_dir` says that has a hosts.toml; without
// one, https to the registry itself.
Result<std::vector<HostEndpoint>> FindHosts(const std::string& hosts_dir, const std::string& registry);

// The registry itself by https; docker.io is at registry-1.docker.io.
Result<HostEndpoint> DefaultHost(const std::string& registry);

}  // namespace fermata::overlay
