// Values that a manifest takes from somewhere else: from the running pod, its limits, ConfigMaps and Secrets. Pure; any
// thread. Results may be secrets.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/pods/manifest.h"

namespace fermata::sandbox::pods {

// What is known of a pod and its node besides the manifest.
struct PodFacts {
  std::string uid, node_name;
  std::vector<std::string> pod_ips, host_ips;         // the first one is the pod's or the node's own
  int64_t node_milli_cpu = 0, node_memory_bytes = 0;  // limits of a container without any
};

std::string ValueOf(const ValueSource& source, const PodManifest& pod, const PodFacts& facts);

// Which word could not be made.
struct ProcessPlace {
  enum class List : uint8_t { kEnv, kCommand, kArgs } list = List::kEnv;
  size_t index = 0;
};
// Variables, command and arguments of `container` into `out`, in kubelet's order: variables see those before them, the
// command sees all. kInvalidArgument when they get larger than execve takes.
Result<> FillProcess(const PodContainer& container, const std::function<std::string(const ValueSource&)>& value_of,
                     ContainerSpec& out, ProcessPlace& place);

}  // namespace fermata::sandbox::pods
