#include "overlay/registry/auth_file.h"

#include <openssl/evp.h>

#include <algorithm>

#include "overlay/registry/credential_helper.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxFileBytes = size_t{4} << 20;

Error Invalid(std::string_view what, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", reason);
}

std::optional<std::string> DecodeBase64(std::string text) {
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  const int size =
      ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const auto padding = static_cast<size_t>(std::count(text.end() - 2, text.end(), '='));
  decoded.resize(static_cast<size_t>(size) - padding);
  return decoded;
}

// nlohmann's own exceptions quote values; a wrong type is told without.
Result<std::string> Text(const Json& object, const char* key, std::string_view what) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return Invalid(what, std::string(key) + " is not a text");
  return found->get<std::string>();
}

Result<Credentials> ReadEntry(const Json& entry, std::string_view what) {
  if (!entry.is_object()) return Invalid(what, "an entry of auths is not an object");
  Credentials credentials;
  ASSIGN_OR_RETURN(credentials.username, Text(entry, "username", what));
  ASSIGN_OR_RETURN(credentials.password, Text(entry, "password", what));
  ASSIGN_OR_RETURN(credentials.identity_token, Text(entry, "identitytoken", what));
  ASSIGN_OR_RETURN(credentials.registry_token, Text(entry, "registrytoken", what));
  ASSIGN_OR_RETURN(const std::string auth, Text(entry, "auth", what));
  if (auth.empty()) return credentials;
  const auto pair = DecodeBase64(auth);
  const size_t colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos) return Invalid(what, "an auth is not the base64 of user:password");
  credentials.username = pair->substr(0, colon);
  credentials.password = pair->substr(colon + 1);
  while (credentials.password.ends_with('\0')) credentials.password.pop_back();  // old versions of docker padded
  return credentials;
}

Result<AuthFile> ReadDocument(const Json& document, std::string_view what) {
  if (!document.is_object()) return Invalid(what, "not a JSON object");
  AuthFile file;
  if (const auto auths = document.find("auths"); auths != document.end() && !auths->is_null()) {
    if (!auths->is_object()) return Invalid(what, "auths is not an object");
    for (const auto& [key, entry] : auths->items()) {
      ASSIGN_OR_RETURN(Credentials credentials, ReadEntry(entry, what));
      if (!credentials.empty()) file.auths[NormalizeAuthKey(key)] = std::move(credentials);
    }
  }
  if (const auto helpers = document.find("credHelpers"); helpers != document.end() && !helpers->is_null()) {
    if (!helpers->is_object()) return Invalid(what, "credHelpers is not an object");
    for (const auto& [key, name] : helpers->items()) {
      ASSIGN_OR_RETURN(file.cred_helpers[NormalizeAuthKey(key)], Text(*helpers, key.c_str(), what));
    }
  }
  ASSIGN_OR_RETURN(file.creds_store, Text(document, "credsStore", what));
  return file;
}

}  // namespace

std::string NormalizeAuthKey(std::string_view key) {
  if (const size_t scheme = key.find("://"); scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  while (key.ends_with('/')) key.remove_suffix(1);
  const size_t slash = key.find('/');
  std::string host(key.substr(0, slash));
  for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
  const std::string_view path = slash == std::string_view::npos ? std::string_view() : key.substr(slash);
  return path == "/v1" || path == "/v2" ? host : host + std::string(path);
}

std::string HelperKey(const std::string& host) { return host == "docker.io" ? "https://index.docker.io/v1/" : host; }

Result<AuthFile> ParseAuthFile(std::string_view text, std::string_view what) {
  const auto document = ParseJson(text, what);
  if (!document) return Invalid(what, "not JSON");  // the parser's own text quotes what it read
  return ReadDocument(*document, what);
}

AuthChoice ChooseAuth(const AuthFile& file, const AuthName& asked) {
  const std::string key = NormalizeAuthKey(asked.host);
  if (const auto helper = file.cred_helpers.find(key); helper != file.cred_helpers.end()) {
    return {std::nullopt, helper->second};
  }
  std::string name = asked.repository.empty() ? key : key + "/" + asked.repository;
  for (;;) {
    if (const auto found = file.auths.find(name); found != file.auths.end()) return {found->second, ""};
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) return {std::nullopt, file.creds_store};
    name.resize(slash);
  }
}

Result<std::optional<Credentials>> FindCredentials(const std::vector<std::string>& files, const AuthName& name,
                                                   std::chrono::milliseconds deadline, const Stops& stops) {
  for (const std::string& path : files) {
    auto text = ReadFileAt(AT_FDCWD, path, kMaxFileBytes);
    if (!text && text.error().saved_errno() == ENOENT) continue;
    if (!text) return std::move(text).error();
    ASSIGN_OR_RETURN(const AuthFile file, ParseAuthFile(*text, path));
    AuthChoice choice = ChooseAuth(file, name);
    if (choice.credentials) return std::move(choice.credentials);
    if (choice.helper.empty()) continue;
    ASSIGN_OR_RETURN(std::optional<Credentials> told,
                     RunCredentialHelper(choice.helper, HelperKey(NormalizeAuthKey(name.host)), deadline, stops));
    if (told) return told;
  }
  return std::optional<Credentials>();
}

}  // namespace fermata::overlay
