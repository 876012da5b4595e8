// CNI network configurations (the specification's section 1) as values: conf and conflist, strictly read and bounded.
// Pure but for LoadCniNetwork, which reads a directory that is root's. Any thread.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

struct CniPluginConfig {
  std::string type;
  Json config;                         // as the file has it, without "capabilities" and keys of runtimes
  std::set<std::string> capabilities;  // what it wants to be told in runtimeConfig
};

struct CniNetwork {
  std::string name;
  std::string version;  // the highest of the configuration that we speak
  bool disable_check = false;
  bool disable_gc = false;
  std::vector<CniPluginConfig> plugins;
  std::string text;  // a conflist that ParseCniNetwork reads to the same network; to be stored

  // STATUS and GC came with 1.1, CHECK with 0.4.
  [[nodiscard]] bool Knows(std::string_view command) const;
};

// "0.3.0" to "1.1.0"; the lowest first.
bool IsCniVersion(std::string_view version);
// A plugin's type is looked up as a file: one plain name.
bool IsCniPluginType(std::string_view type);

// A conflist ("plugins") or a single conf ("type"). `extra`: confs of the directory named as the network, which a list
// takes unless it says loadOnlyInlinedPlugins. kInvalidArgument "<what>: ...".
Result<CniNetwork> ParseCniNetwork(std::string_view text, std::string_view what,
                                   const std::vector<std::string>& extra = {});

// The lexically first *.conf, *.conflist or *.json. kNotFound: there is none. A first file that cannot be used is an
// error: the next one would be another network than the administrator's.
Result<CniNetwork> LoadCniNetwork(const std::string& directory);

}  // namespace fermata::sandbox
