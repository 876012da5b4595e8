// AuthFile: credentials in the form of docker's config.json, which podman's auth.json shares: auths, credHelpers,
// credsStore. A value with secrets in it: no operator<<. Parsing is pure; errors are kInvalidArgument and never quote
// the file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/registry/credentials.h"
#include "overlay/registry/stops.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct AuthFile {
  std::map<std::string, Credentials> auths;         // by NormalizeAuthKey()
  std::map<std::string, std::string> cred_helpers;  // host -> name of the helper
  std::string creds_store;                          // the helper for all others, or empty
};

// "https://index.docker.io/v1/" and "docker.io" are one key; a path other than /v1 and /v2 stays: it is a namespace.
std::string NormalizeAuthKey(std::string_view key);

// What the store of a helper files `host` under: docker.io has an old name there.
std::string HelperKey(const std::string& host);

Result<AuthFile> ParseAuthFile(std::string_view text, std::string_view what);

// What to do for `repository` on `host`: the helper for the host, the entry of the longest key that is a prefix of
// host/repository, the helper for all. At most one of both is set.
struct AuthChoice {
  std::optional<Credentials> credentials;
  std::string helper;
};
struct AuthName {
  std::string host, repository;
};
AuthChoice ChooseAuth(const AuthFile& file, const AuthName& name);

// The credentials that the first of `files` that knows the host has for it; helpers are run for up to `deadline`.
// Files that are not there are left out.
Result<std::optional<Credentials>> FindCredentials(const std::vector<std::string>& files, const AuthName& name,
                                                   std::chrono::milliseconds deadline, const Stops& stops);

}  // namespace fermata::overlay
