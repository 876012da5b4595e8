#include "overlay/registry/hosts.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

// The names of directories that may be about `registry`, the most particular first. containerd's form for a host with
// a port is for file systems that know no colon.
std::vector<std::string> DirectoryNames(const std::string& registry) {
  std::vector<std::string> names;
  const size_t colon = registry.rfind(':');
  if (colon != std::string::npos && !registry.ends_with(']')) {
    names.push_back(registry.substr(0, colon) + "_" + registry.substr(colon + 1) + "_");
  }
  names.push_back(registry);
  names.emplace_back("_default");
  return names;
}

}  // namespace

Result<std::vector<HostEndpoint>> FindHosts(const std::string& hosts_dir, const std::string& registry) {
  constexpr size_t kMaxFileBytes = size_t{1} << 20;
  ASSIGN_OR_RETURN(HostEndpoint self, DefaultHost(registry));  // also: `registry` is safe as a name of a file
  for (const std::string& name : DirectoryNames(registry)) {
    const std::string path = hosts_dir + "/" + name + "/hosts.toml";
    auto text = ReadFileAt(AT_FDCWD, path, kMaxFileBytes);
    if (text) return ParseHosts(*text, path, registry);
    const int reason = text.error().saved_errno();
    if (reason != ENOENT && reason != ENOTDIR) return std::move(text).error();
  }
  return std::vector<HostEndpoint>{std::move(self)};
}

}  // namespace fermata::overlay
