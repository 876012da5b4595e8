// spec.containers.
#include <algorithm>

#include "sandbox/pods/manifest_expand.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct EnvDraft {
  std::string name, value;
};
struct PortDraft {
  std::string name;
  int64_t port = 0;
};
struct ContainerDraft {
  PodContainer out;
  std::vector<EnvDraft> env;
  const Node* env_node = nullptr;
  const Node* command = nullptr;
  const Node* args = nullptr;
  const Node* security = nullptr;
  const Node* startup = nullptr;
  const Node* liveness = nullptr;
  const Node* readiness = nullptr;
  const Node* lifecycle = nullptr;
  std::vector<PortDraft> ports;
  bool asks_cpu = false;
};

// Kubernetes since 1.34: printable ASCII but '='.
Result<std::string> ReadEnvName(const Node& node) {
  ASSIGN_OR_RETURN(std::string name, ReadString(node));
  const bool good = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~' && c != '='; });
  if (name.empty() || !good) return BadValue(node, Quoted(name), " is no name of a variable");
  return name;
}

constexpr Field<EnvDraft> kEnvFields[] = {
    {"name", Put<&EnvDraft::name, ReadEnvName>},
    {"value", Put<&EnvDraft::value, ReadString>},
    {"valueFrom", nullptr},
};

Result<EnvDraft> ReadEnv(const Node& node) {
  EnvDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kEnvFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.name.empty()));
  return draft;
}

Result<> CheckProtocol(const Node& node) {
  ASSIGN_OR_RETURN(const std::string protocol, ReadString(node));
  if (protocol == "TCP" || protocol == "UDP" || protocol == "SCTP") return {};
  return BadValue(node, Quoted(protocol), " is none of TCP, UDP and SCTP");
}

// Informational, as in Kubernetes: a process listens where it likes.
constexpr Field<PortDraft> kPortFields[] = {
    {"containerPort", Put<&PortDraft::port, ReadPortNumber>},
    {"name", Put<&PortDraft::name, ReadPortName>},
    {"protocol", Only<CheckProtocol>},
    {"hostPort", nullptr},
    {"hostIP", nullptr},
};

Result<PortDraft> ReadPort(const Node& node) {
  PortDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kPortFields, draft));
  RETURN_IF_ERROR(Require(node, "containerPort", draft.port != 0));
  return draft;
}

Result<> OnlyNone(const Node& node) { return OnlyText(node, "None"); }
Result<> OnlyDisabled(const Node& node) { return OnlyText(node, "Disabled"); }

constexpr Field<VolumeMount> kMountFields[] = {
    {"name", Put<&VolumeMount::volume, ReadString>},
    {"mountPath", Put<&VolumeMount::mount_path, ReadAbsolutePath>},
    {"readOnly", Put<&VolumeMount::readonly, ReadYamlBool>},
    {"mountPropagation", Only<OnlyNone>},
    {"recursiveReadOnly", Only<OnlyDisabled>},
    {"subPath", nullptr},
    {"subPathExpr", nullptr},
};

Result<VolumeMount> ReadMount(const Node& node) {
  VolumeMount mount;
  RETURN_IF_ERROR(ReadObject(node, kMountFields, mount));
  RETURN_IF_ERROR(Require(node, "name", !mount.volume.empty()));
  RETURN_IF_ERROR(Require(node, "mountPath", !mount.mount_path.empty()));
  return mount;
}

Result<> ReadPullPolicy(const Node& node, ContainerDraft& draft) {
  ASSIGN_OR_RETURN(const std::string policy, ReadString(node));
  const std::pair<std::string_view, PullPolicy> known[] = {
      {"Always", PullPolicy::kAlways}, {"IfNotPresent", PullPolicy::kIfNotPresent}, {"Never", PullPolicy::kNever}};
  for (const auto& [name, value] : known) {
    if (name != policy) continue;
    draft.out.pull_policy = value;
    return {};
  }
  return BadValue(node, Quoted(policy), " is none of Always, IfNotPresent and Never");
}

Result<std::string> ReadImage(const Node& node) {
  ASSIGN_OR_RETURN(std::string image, ReadString(node));
  if (image.empty() || image.find_first_of(" \t\r\n") != std::string::npos) {
    return BadValue(node, Quoted(image), " is no image");
  }
  return image;
}

// Members of the spec inside the draft.
template <auto Member, auto Read>
Result<> PutSpec(const Node& node, ContainerDraft& out) {
  ASSIGN_OR_RETURN(out.out.spec.*Member, Read(node));
  return {};
}

constexpr Field<ContainerDraft> kContainerFields[] = {
    {"name", PutSpec<&ContainerSpec::name, ReadDnsLabel>},
    {"image", PutSpec<&ContainerSpec::image, ReadImage>},
    {"imagePullPolicy", ReadPullPolicy},
    {"command", Keep<&ContainerDraft::command>},
    {"args", Keep<&ContainerDraft::args>},
    {"env",
     [](const Node& node, ContainerDraft& out) -> Result<> {
       out.env_node = &node;
       ASSIGN_OR_RETURN(out.env, ReadList<EnvDraft>(node, ReadEnv));
       return {};
     }},
    {"workingDir", PutSpec<&ContainerSpec::working_dir, ReadAbsolutePath>},
    {"volumeMounts",
     [](const Node& node, ContainerDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.out.volume_mounts, ReadList<VolumeMount>(node, ReadMount));
       return {};
     }},
    {"ports",
     [](const Node& node, ContainerDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.ports, ReadList<PortDraft>(node, ReadPort));
       return {};
     }},
    {"resources",
     [](const Node& node, ContainerDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.out.spec.resources, ReadResources(node, out.asks_cpu));
       return {};
     }},
    {"securityContext", Keep<&ContainerDraft::security>},
    {"stdin", Only<OnlyFalse>},
    {"stdinOnce", Only<OnlyFalse>},
    {"tty", Only<OnlyFalse>},
    {"lifecycle", Keep<&ContainerDraft::lifecycle>},
    {"livenessProbe", Keep<&ContainerDraft::liveness>},
    {"readinessProbe", Keep<&ContainerDraft::readiness>},
    {"startupProbe", Keep<&ContainerDraft::startup>},
    {"restartPolicy",
     [](const Node& node, ContainerDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.out.restart_policy, ReadRestartPolicy(node));
       return {};
     }},
    {"envFrom", nullptr},
    {"resizePolicy", nullptr},
    {"restartPolicyRules", nullptr},
    {"terminationMessagePath", nullptr},
    {"terminationMessagePolicy", nullptr},
    {"volumeDevices", nullptr},
};

// Expands into one container's words and counts them, against values that double each other.
class Expander {
 public:
  Result<std::string> Text(const Node& node, std::string_view text) {
    auto expanded = Expand(text, variables_, left_);
    if (!expanded) return AtNode(node, expanded.error());
    left_ -= expanded->size();
    return expanded;
  }
  void Set(const EnvDraft& variable) { variables_[variable.name] = variable.value; }

 private:
  std::map<std::string, std::string> variables_;
  size_t left_ = kMaxArgumentBytes;
};

Result<std::vector<std::string>> ExpandList(const Node* node, Expander& expander) {
  if (node == nullptr) return std::vector<std::string>();
  ASSIGN_OR_RETURN(std::vector<std::string> list, ReadStrings(*node));
  for (size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(list[i], expander.Text(*node->children[i], list[i]));
  }
  return list;
}

// Variables see those before them, the command sees all.
Result<> ExpandProcess(ContainerDraft& draft) {
  ContainerSpec& spec = draft.out.spec;
  Expander expander;
  for (size_t i = 0; i < draft.env.size(); ++i) {
    EnvDraft& variable = draft.env[i];
    ASSIGN_OR_RETURN(variable.value, expander.Text(*draft.env_node->children[i], variable.value));
    expander.Set(variable);
    spec.env.push_back(variable.name + "=" + variable.value);
  }
  ASSIGN_OR_RETURN(spec.command, ExpandList(draft.command, expander));
  ASSIGN_OR_RETURN(spec.args, ExpandList(draft.args, expander));
  return {};
}

// "/a/" and "/a//." are "/a"; there is no ".." in it.
std::string Cleaned(const std::string& path) {
  std::string clean;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (!part.empty() && part != ".") clean += "/" + part;
    begin = end + 1;
  }
  return clean.empty() ? "/" : clean;
}

Result<> CheckMounts(const Node& node, const ContainerDraft& draft, const PodContext& pod) {
  std::set<std::string> paths;
  const Node* const list = node.Find("volumeMounts");
  for (size_t i = 0; i < draft.out.volume_mounts.size(); ++i) {
    const VolumeMount& mount = draft.out.volume_mounts[i];
    const Node& place = *list->children[i];
    const bool exists = std::any_of(pod.volumes->begin(), pod.volumes->end(),
                                    [&mount](const PodVolume& volume) { return volume.name == mount.volume; });
    if (!exists) return BadValue(*place.Find("name"), "there is no volume ", Quoted(mount.volume));
    const std::string path = Cleaned(mount.mount_path);
    if (path == "/") return BadValue(*place.Find("mountPath"), "a volume cannot replace the whole root");
    if (!paths.insert(path).second) {
      return BadValue(*place.Find("mountPath"), Quoted(mount.mount_path), " is mounted twice");
    }
  }
  return {};
}

// `variables`: as they are written, not expanded; kubelet's probes see those only.
Result<> ReadProbes(const ContainerDraft& draft, const PodContext& pod,
                    const std::map<std::string, std::string>& variables, probe::ContainerProbes& out) {
  ProbeContext context{&variables, {}, pod.termination_grace};
  for (const PortDraft& port : draft.ports) context.ports[port.name] = static_cast<int>(port.port);
  context.ports.erase("");
  if (draft.startup != nullptr) {
    ASSIGN_OR_RETURN(out.startup, ReadProbe(*draft.startup, probe::ProbeType::kStartup, context));
  }
  if (draft.liveness != nullptr) {
    ASSIGN_OR_RETURN(out.liveness, ReadProbe(*draft.liveness, probe::ProbeType::kLiveness, context));
  }
  if (draft.readiness != nullptr) {
    ASSIGN_OR_RETURN(out.readiness, ReadProbe(*draft.readiness, probe::ProbeType::kReadiness, context));
  }
  if (draft.lifecycle != nullptr) RETURN_IF_ERROR(ReadLifecycle(*draft.lifecycle, context, out));
  return {};
}

Result<> CheckInit(const ContainerDraft& draft) {
  if (draft.out.restart_policy == RestartPolicy::kAlways) return {};
  for (const Node* given : {draft.startup, draft.liveness, draft.readiness, draft.lifecycle}) {
    if (given != nullptr) return BadValue(*given, "of init containers only those with restartPolicy Always have it");
  }
  return {};
}

Result<ContainerDraft> ReadContainer(const Node& node, const PodContext& pod) {
  ContainerDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kContainerFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.out.spec.name.empty()));
  RETURN_IF_ERROR(Require(node, "image", !draft.out.spec.image.empty()));
  std::map<std::string, std::string> written;
  for (const EnvDraft& variable : draft.env) written[variable.name] = variable.value;
  RETURN_IF_ERROR(ReadProbes(draft, pod, written, draft.out.probes));
  RETURN_IF_ERROR(ExpandProcess(draft));
  RETURN_IF_ERROR(CheckMounts(node, draft, pod));
  draft.out.spec.user_specified_image = draft.out.spec.image;
  ASSIGN_OR_RETURN(draft.out.spec.security, ReadContainerSecurity(draft.security, node, *pod.security));
  draft.out.spec.security.namespaces = pod.namespaces;
  return draft;
}

// Shares count among siblings only. Where nobody asks for CPU nothing has to be written; where somebody does, the
// others get kubelet's least, or they would by default have more than what was asked for.
void FillShares(bool asks_cpu, std::vector<PodContainer>& containers) {
  constexpr uint64_t kLeastShares = 2;
  for (PodContainer& container : containers) {
    if (asks_cpu && container.spec.resources.cpu_shares == 0) container.spec.resources.cpu_shares = kLeastShares;
  }
}

}  // namespace

namespace {

struct Taken {
  std::set<std::string> names, ports;
  bool asks_cpu = false;
};

Result<std::vector<PodContainer>> ReadGroup(const Node& node, const PodContext& pod, bool init, Taken& taken) {
  RETURN_IF_ERROR(ExpectList(node));
  std::vector<PodContainer> containers;
  for (const auto& child : node.children) {
    ASSIGN_OR_RETURN(ContainerDraft draft, ReadContainer(*child, pod));
    if (init) RETURN_IF_ERROR(CheckInit(draft));
    if (!taken.names.insert(draft.out.spec.name).second) {
      return BadValue(*child, "the name ", Quoted(draft.out.spec.name), " is taken");
    }
    for (const PortDraft& port : draft.ports) {
      if (port.name.empty() || taken.ports.insert(port.name).second) continue;
      return BadValue(*child, "the name ", Quoted(port.name), " of a port is taken");
    }
    taken.asks_cpu = taken.asks_cpu || draft.asks_cpu;
    containers.push_back(std::move(draft.out));
  }
  return containers;
}

}  // namespace

Result<> ReadContainers(const Node* init, const Node& containers, const PodContext& pod, PodManifest& out) {
  Taken taken;
  if (init != nullptr) {
    ASSIGN_OR_RETURN(out.init_containers, ReadGroup(*init, pod, true, taken));
  }
  ASSIGN_OR_RETURN(out.containers, ReadGroup(containers, pod, false, taken));
  if (out.containers.empty()) return BadValue(containers, "a pod needs at least one container");
  FillShares(taken.asks_cpu, out.containers);
  FillShares(taken.asks_cpu, out.init_containers);
  return {};
}

}  // namespace fermata::sandbox::pods
