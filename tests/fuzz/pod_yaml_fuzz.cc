// Pod YAML: an error names the file; a pod has containers with names and images, mounts only of its own volumes, and
// only what spec_checks.h lets pass.
#include <algorithm>

#include "sandbox/pods/manifest.h"
#include "sandbox/spec_checks.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::sandbox::pods {
namespace {

using fuzz::Check;

void CheckContainer(const PodContainer& container, const PodManifest& pod) {
  Check(!container.spec.name.empty() && !container.spec.image.empty(), "a container without a name or an image");
  for (const VolumeMount& mount : container.volume_mounts) {
    const bool exists = std::any_of(pod.volumes.begin(), pod.volumes.end(),
                                    [&](const PodVolume& volume) { return volume.name == mount.volume; });
    Check(exists, "a mount of no volume: " + mount.volume);
    Check(CheckAbsolutePath(mount.mount_path).has_value(), "a mount at " + mount.mount_path);
  }
  for (const std::string& variable : container.spec.env) {
    Check(CheckEnvName(variable.substr(0, variable.find('='))).has_value(), "a variable " + variable);
  }
  const SecurityContext& security = container.spec.security;
  Check(!security.run_as_user || CheckId(*security.run_as_user), "a uid out of range");
  Check(!security.run_as_group || CheckId(*security.run_as_group), "a gid out of range");
  const cgroups::Resources& resources = container.spec.resources;
  Check(resources.cpu_shares <= 262144 && resources.cpu_quota_us.value_or(1000) >= 1000, "CPU limits");
}

void CheckPod(const PodManifest& pod) {
  Check(!pod.sandbox.name.empty() && !pod.containers.empty(), "a pod without a name or containers");
  Check(pod.sandbox.owner == Owner::kPods, "a pod of the CRI");
  Check(pod.sandbox.hostname.empty() || CheckHostname(pod.sandbox.hostname), "host name " + pod.sandbox.hostname);
  Check(CheckDns(pod.sandbox.dns).has_value(), "DNS");
  for (const auto& [name, value] : pod.sandbox.sysctls) {
    Check(CheckSysctl(name, value, pod.sandbox.namespaces).has_value(), "sysctl " + name);
  }
  for (const PodContainer& container : pod.containers) CheckContainer(container, pod);
}

}  // namespace
}  // namespace fermata::sandbox::pods

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const auto pods = sandbox::pods::ParseManifest(fuzz::TextOf(data, size), "pod.yaml");
  if (!pods) {
    if (pods.error().code() != ErrorCode::kUnimplemented) fuzz::CheckError(pods.error());
    fuzz::Check(pods.error().message().starts_with("pod.yaml"), "an error without the file: " + pods.error().message());
    return 0;
  }
  fuzz::Check(!pods->empty(), "no pod and no error");
  for (const auto& pod : *pods) sandbox::pods::CheckPod(pod);
  return 0;
}
