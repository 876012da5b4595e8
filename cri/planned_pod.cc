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

namespace probe = sandbox::probe;

std::string Seconds(std::chrono::seconds time) { return std::to_string(time.count()) + "s"; }

// As kubectl describe has them.
struct ActionText {
  std::string operator()(const probe::ExecAction& exec) const {
    std::string text = "exec [";
    for (const std::string& word : exec.command) text += (text.back() == '[' ? "" : " ") + word;
    return text + "]";
  }
  std::string operator()(const probe::HttpAction& http) const {
    return std::string("http-get ") + (http.https ? "https" : "http") + "://" + http.host + ":" +
           std::to_string(http.port) + http.path;
  }
  std::string operator()(const probe::TcpAction& tcp) const {
    return "tcp-socket " + tcp.host + ":" + std::to_string(tcp.port);
  }
  std::string operator()(const probe::GrpcAction& grpc) const {
    return "grpc :" + std::to_string(grpc.port) + (grpc.service.empty() ? "" : " " + grpc.service);
  }
  std::string operator()(const probe::SleepAction& sleep) const { return "sleep " + Seconds(sleep.time); }
};

}  // namespace

std::string ProbeActionText(const probe::ProbeSpec& spec) { return std::visit(ActionText(), spec.action); }

namespace {

void AddProbes(const probe::ContainerProbes& probes, ::fermata::v1::PlannedContainer& out) {
  const auto add = [&](const char* name, const std::optional<probe::ProbeSpec>& spec) {
    if (!spec) return;
    out.add_probes(std::string(name) + ": " + ProbeActionText(*spec) + " delay=" + Seconds(spec->initial_delay) +
                   " timeout=" + Seconds(spec->timeout) + " period=" + Seconds(spec->period) + " #success=" +
                   std::to_string(spec->success_threshold) + " #failure=" + std::to_string(spec->failure_threshold));
  };
  add("startup", probes.startup);
  add("liveness", probes.liveness);
  add("readiness", probes.readiness);
  if (probes.post_start) out.add_probes("postStart: " + std::visit(ActionText(), *probes.post_start));
  if (probes.pre_stop) out.add_probes("preStop: " + std::visit(ActionText(), *probes.pre_stop));
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
  AddProbes(container.probes, out);
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
