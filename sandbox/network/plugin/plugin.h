// fermata-cni's parts: the built-in network as a CNI plugin, for other runtimes. Each execution loads the attachments
// of its network from a file, does one thing, and ends; a lock makes executions of one network follow each other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "sandbox/network/attachment.h"
#include "sandbox/network/builtin_network.h"
#include "sandbox/network/ledger.h"

namespace fermata::sandbox {

// What the runtime asks, from the environment and standard input.
struct PluginRequest {
  std::string command, container_id, netns, interface;
  Json config;
  std::string version;  // of the answer
};

// Reads and checks. The error's code is kInvalidArgument.
Result<PluginRequest> ReadPluginRequest(const std::string& input);

struct PluginSettings {
  std::string data_dir;
  BuiltinOptions network;
};
// Keys of the configuration: dataDir, subnets, direct, mtu. Bridge and table are named after the network.
Result<PluginSettings> ReadPluginSettings(const Json& config);

// The attachment that a request speaks of.
Attachment PluginAttachment(const PluginRequest& request);
// The result of ADD as `version` has it.
Json PluginResult(const std::string& version, const Attachment& attachment, const PluginSettings& settings);

// Does what the request asks; gives what is to be printed.
Result<std::string> ServePlugin(const PluginRequest& request);

// The specification's error object.
std::string PluginError(const std::string& version, const Error& error);

}  // namespace fermata::sandbox
