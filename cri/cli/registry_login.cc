#include "cri/cli/registry_login.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "overlay/image/reference.h"
#include "overlay/registry/auth_file.h"
#include "overlay/registry/base64.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

constexpr auto kHelperDeadline = std::chrono::seconds(30);

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::vector<std::string> UserFiles(const std::string& auth_file) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& directory, std::string_view name) {
    if (!directory.empty()) files.emplace_back(directory).append(name);
  };
  add(auth_file, "");
  add(Environment("REGISTRY_AUTH_FILE"), "");
  add(Environment("XDG_RUNTIME_DIR"), "/containers/auth.json");
  const std::string docker = Environment("DOCKER_CONFIG");
  if (docker.empty()) {
    add(Environment("HOME"), "/.docker/config.json");
  } else {
    add(docker, "/config.json");
  }
  return files;
}

Result<Json> ReadAuthJson(const std::string& file) {
  auto text = ReadFileAt(AT_FDCWD, file, size_t{1} << 20);
  if (!text && text.error().saved_errno() == ENOENT) return Json::object();
  if (!text) return std::move(text).error();
  ASSIGN_OR_RETURN(Json json, ParseJson(*text, file));
  if (!json.is_object()) return Error::Make(ErrorCode::kInvalidArgument, file, ": not an object");
  if (!json.contains("auths") || !json["auths"].is_object()) json["auths"] = Json::object();
  return json;
}

Result<> WriteAuthJson(const std::string& file, const Json& json) {
  const std::filesystem::path path(file);
  const std::string parent = path.has_parent_path() ? path.parent_path().string() : ".";
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(AT_FDCWD, parent));
  return WriteFileAtomic(directory.get(), path.filename(), json.dump(2) + "\n", 0600);
}

// No echo while it lives.
class QuietTerminal {
 public:
  QuietTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

 private:
  termios before_{};
  bool changed_ = false;
};

}  // namespace

Result<std::optional<overlay::Credentials>> FindUserCredentials(const std::string& explicit_credentials,
                                                                const std::string& auth_file,
                                                                const std::string& image) {
  ASSIGN_OR_RETURN(const overlay::Reference reference, overlay::ParseReference(image));
  if (!explicit_credentials.empty()) {
    overlay::Credentials credentials;
    const size_t colon = explicit_credentials.find(':');
    credentials.username = explicit_credentials.substr(0, colon);
    if (colon != std::string::npos) {
      credentials.password = explicit_credentials.substr(colon + 1);
    } else {
      ASSIGN_OR_RETURN(credentials.password, ReadPassword("Password: "));
    }
    return std::optional(std::move(credentials));
  }
  return overlay::FindCredentials(UserFiles(auth_file), {reference.domain, reference.repository}, kHelperDeadline, {});
}

std::string LoginFile(const std::string& auth_file) {
  if (!auth_file.empty()) return auth_file;
  const std::string environment = Environment("REGISTRY_AUTH_FILE");
  return environment.empty() ? "/etc/fermata/auth.json" : environment;
}

Result<> StoreCredentials(const std::string& file, const std::string& registry,
                          const overlay::Credentials& credentials) {
  ASSIGN_OR_RETURN(Json json, ReadAuthJson(file));
  Json entry = {{"auth", overlay::EncodeBase64(credentials.username + ":" + credentials.password)}};
  if (!credentials.identity_token.empty()) entry["identitytoken"] = credentials.identity_token;
  json["auths"][overlay::NormalizeAuthKey(registry)] = std::move(entry);
  return WriteAuthJson(file, json);
}

Result<bool> ForgetCredentials(const std::string& file, const std::string& registry) {
  ASSIGN_OR_RETURN(Json json, ReadAuthJson(file));
  if (!json.contains("auths")) return false;
  bool found = false;
  Json kept = Json::object();
  for (const auto& [key, entry] : json["auths"].items()) {
    const bool same = overlay::NormalizeAuthKey(key) == overlay::NormalizeAuthKey(registry);
    found = found || same;
    if (!same) kept[key] = entry;
  }
  if (!found) return false;
  json["auths"] = std::move(kept);
  RETURN_IF_ERROR(WriteAuthJson(file, json));
  return true;
}

Result<std::string> ReadPassword(const std::string& prompt) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) std::cerr << prompt << std::flush;
  std::string password;
  {
    const QuietTerminal quiet;
    if (!std::getline(std::cin, password)) {
      return Error::Make(ErrorCode::kInvalidArgument, "no password on standard input");
    }
  }
  if (terminal) std::cerr << "\n";
  return password;
}

}  // namespace fermata::cri::cli
