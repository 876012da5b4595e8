#include "cri/planned_pod.h"

namespace fermata::cri {
namespace {

using sandbox::pods::PodContainer;
using sandbox::pods::PodVolume;

const char* KindOf(const PodVolume& volume) {
  switch (volume.kind) {
    case PodVolume::Kind::kEmptyDir:
      return volume.memory ? "memory" : "emptyDir";
    case PodVolume::Kind::kHostPath:
      return "hostPath";
    case PodVolume::Kind::kFiles:
      return "files";
    case PodVolume::Kind::kImage:
      return "image";
    case PodVolume::Kind::kClaim:
      break;
  }
  return "claim";
}

void FillContainer(const PodContainer& container, bool init, ::fermata::v1::PlannedContainer& out) {
  out.set_name(container.spec.name);
  out.set_image(container.spec.image);
  out.set_init(init);
  for (const auto* words : {&container.command, &container.args}) {
    for (const std::string& word : *words) out.add_command(word);
  }
  for (const sandbox::pods::EnvVariable& variable : container.env) out.add_variables(variable.name);
  for (const sandbox::pods::VolumeMount& mount : container.volume_mounts) {
    out.add_mounts(mount.mount_path + " from " + mount.volume);
  }
}

}  // namespace

void FillPlanned(const sandbox::pods::PodManifest& pod, ::fermata::v1::PlannedPod& out) {
  out.set_namespace_(pod.sandbox.name_space);
  out.set_name(pod.sandbox.name);
  for (const PodContainer& container : pod.init_containers) FillContainer(container, true, *out.add_containers());
  for (const PodContainer& container : pod.containers) FillContainer(container, false, *out.add_containers());
  for (const PodVolume& volume : pod.volumes) out.add_volumes(volume.name + " (" + KindOf(volume) + ")");
  constexpr const char* kProtocols[] = {"tcp", "udp", "sctp"};  // by the numbers of the CRI
  for (const sandbox::PortMapping& port : pod.sandbox.port_mappings) {
    out.add_host_ports((port.host_ip.empty() ? "" : port.host_ip + ":") + std::to_string(port.host_port) + "/" +
                       kProtocols[port.protocol]);
  }
}

}  // namespace fermata::cri
