// The commands of `fermata` about images, one function each, as in commands.h.
#pragma once

#include <string>
#include <vector>

#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// What pull, push and login are told of who asks; empty: what the files of the user say (registry_login.h).
struct RegistryOptions {
  std::string credentials;  // USER[:PASSWORD]
  std::string auth_file;
};

struct PullOptions {
  std::vector<std::string> images;
  RegistryOptions registry;
  bool quiet = false;
};
Result<int> Pull(const Global& global, const PullOptions& options);
Result<int> Push(const Global& global, const std::string& image, const std::string& destination,
                 const RegistryOptions& registry, bool quiet);

Result<int> ImportImage(const Global& global, const std::string& path, const std::string& name);
// To a file, or to standard output for "-".
Result<int> ExportImages(const Global& global, const std::vector<std::string>& images, const std::string& path);
Result<int> ListImages(const Global& global, bool digests, bool quiet);
Result<int> InspectImages(const Global& global, const std::vector<std::string>& images);
Result<int> TagImage(const Global& global, const std::string& image, const std::string& tag);
Result<int> RemoveImages(const Global& global, const std::vector<std::string>& images, bool force);
Result<int> PruneImages(const Global& global, bool all, bool dry_run);
// 1: something is damaged and was not repaired.
Result<int> VerifyImages(const Global& global, const std::string& image, bool repair);

struct LoginOptions {
  std::string registry, username, password, auth_file;
  bool password_stdin = false;
};
Result<int> Login(const Global& global, const LoginOptions& options);
Result<int> Logout(const Global& global, const std::string& registry, const std::string& auth_file);

}  // namespace fermata::cri::cli
