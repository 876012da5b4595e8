// spec.containers.
#include <algorithm>
#include <tuple>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/pods/manifest_values.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct PortDraft {
  std::string name, host_ip;
  int64_t port = 0, host_port = 0;
  std::string protocol = "TCP";
};
struct ContainerDraft {
  PodContainer out;
  const Node* env = nullptr;
  const Node* env_from = nullptr;
  const Node* command = nullptr;
  const Node* args = nullptr;
  const Node* security = nullptr;
  const Node* startup = nullptr;
  const Node* liveness = nullptr;
  const Node* readiness = nullptr;
  const Node* lifecycle = nullptr;
  std::vector<PortDraft> ports;
};

constexpr std::string_view kProtocols[] = {"TCP", "UDP", "SCTP"};  // by the numbers of the CRI

Result<std::string> ReadProtocol(const Node& node) {
  ASSIGN_OR_RETURN(std::string protocol, ReadString(node));
  if (std::ranges::find(kProtocols, protocol) != std::end(kProtocols)) return protocol;
  return BadValue(node, Quoted(protocol), " is none of TCP, UDP and SCTP");
}

// Without a host port informational, as in Kubernetes: a process listens where it likes.
constexpr Field<PortDraft> kPortFields[] = {
    {"containerPort", Put<&PortDraft::port, ReadPortNumber>},
    {"name", Put<&PortDraft::name, ReadPortName>},
    {"protocol", Put<&PortDraft::protocol, ReadProtocol>},
    {"hostPort", Put<&PortDraft::host_port, ReadPortNumber>},
    {"hostIP", Put<&PortDraft::host_ip, ReadIp>},
};

Result<PortDraft> ReadPort(const Node& node) {
  PortDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kPortFields, draft));
  RETURN_IF_ERROR(Require(node, "containerPort", draft.port != 0));
  return draft;
}

Result<Propagation> ReadPropagation(const Node& node) {
  constexpr std::string_view kNames[] = {"None", "HostToContainer", "Bidirectional"};  // in the order of Propagation
  ASSIGN_OR_RETURN(const std::string name, ReadString(node));
  const auto* found = std::ranges::find(kNames, name);
  if (found != std::end(kNames)) return static_cast<Propagation>(found - std::begin(kNames));
  return BadValue(node, Quoted(name), " is none of None, HostToContainer and Bidirectional");
}

// The kernel can always do it (Linux 5.12), so that "if possible" is yes.
Result<bool> ReadRecursiveReadonly(const Node& node) {
  ASSIGN_OR_RETURN(const std::string choice, ReadString(node));
  if (choice == "Enabled" || choice == "IfPossible" || choice == "Disabled") return choice != "Disabled";
  return BadValue(node, Quoted(choice), " is none of Disabled, IfPossible and Enabled");
}

Result<std::string> ReadSubPath(const Node& node) {
  ASSIGN_OR_RETURN(std::string path, ReadString(node));
  if (path.empty()) return path;
  if (auto checked = CheckRelativePath(path); !checked) return AtNode(node, checked.error());
  return path;
}

// What it is turns out when the variables are known.
Result<> ReadSubPathExpr(const Node& node, VolumeMount& out) {
  if (!out.sub_path.empty()) return BadValue(node, "subPath and subPathExpr exclude each other");
  ASSIGN_OR_RETURN(out.sub_path, ReadSubPath(node));
  out.expand_sub_path = !out.sub_path.empty();
  return {};
}

constexpr Field<VolumeMount> kMountFields[] = {
    {"name", Put<&VolumeMount::volume, ReadString>},
    {"mountPath", Put<&VolumeMount::mount_path, ReadAbsolutePath>},
    {"readOnly", Put<&VolumeMount::readonly, ReadYamlBool>},
    {"mountPropagation", Put<&VolumeMount::propagation, ReadPropagation>},
    {"recursiveReadOnly", Put<&VolumeMount::recursive_readonly, ReadRecursiveReadonly>},
    {"subPath",
     [](const Node& node, VolumeMount& out) -> Result<> {
       if (out.expand_sub_path) return BadValue(node, "subPath and subPathExpr exclude each other");
       ASSIGN_OR_RETURN(out.sub_path, ReadSubPath(node));
       return {};
     }},
    {"subPathExpr", ReadSubPathExpr},
};

Result<VolumeMount> ReadMount(const Node& node) {
  VolumeMount mount;
  RETURN_IF_ERROR(ReadObject(node, kMountFields, mount));
  RETURN_IF_ERROR(Require(node, "name", !mount.volume.empty()));
  RETURN_IF_ERROR(Require(node, "mountPath", !mount.mount_path.empty()));
  if (mount.recursive_readonly && (!mount.readonly || mount.propagation != Propagation::kPrivate)) {
    return BadValue(*node.Find("recursiveReadOnly"), "needs readOnly and no mountPropagation");
  }
  return mount;
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
    {"imagePullPolicy",
     [](const Node& node, ContainerDraft& draft) -> Result<> {
       ASSIGN_OR_RETURN(draft.out.pull_policy, ReadPullPolicy(node));
       return {};
     }},
    {"command", Keep<&ContainerDraft::command>},
    {"args", Keep<&ContainerDraft::args>},
    {"env", Keep<&ContainerDraft::env>},
    {"envFrom", Keep<&ContainerDraft::env_from>},
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
    {"resources", [](const Node& node, ContainerDraft& out) -> Result<> { return ReadResources(node, out.out); }},
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
    {"resizePolicy", nullptr},
    {"restartPolicyRules", nullptr},
    {"terminationMessagePath", nullptr},
    {"terminationMessagePolicy", nullptr},
    {"volumeDevices", nullptr},
};

Result<> ReadWords(const Node* node, std::vector<std::string>& out) {
  if (node == nullptr) return {};
  ASSIGN_OR_RETURN(out, ReadStrings(*node));
  return {};
}

// With what does not depend on the running pod, to find what is too large before anything runs.
Result<> TryProcess(const ContainerDraft& draft, const EnvDraft& env, ContainerSpec& out) {
  ProcessPlace place;
  const auto known = [](const ValueSource& source) { return source.text; };
  const Result<> done = FillProcess(draft.out, known, out, place);
  if (done) return {};
  const Node& node = place.list == ProcessPlace::List::kEnv       ? *env.places[place.index]
                     : place.list == ProcessPlace::List::kCommand ? *draft.command->children[place.index]
                                                                  : *draft.args->children[place.index];
  return AtNode(node, done.error());
}

Result<> ReadProcess(const EnvDraft& env, ContainerDraft& draft) {
  draft.out.env = env.variables;
  RETURN_IF_ERROR(ReadWords(draft.command, draft.out.command));
  RETURN_IF_ERROR(ReadWords(draft.args, draft.out.args));
  return TryProcess(draft, env, draft.out.spec);
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

Result<> CheckMount(const Node& place, const VolumeMount& mount, const PodContext& pod, std::set<std::string>& paths) {
  const auto named = [&mount](const PodVolume& volume) { return volume.name == mount.volume; };
  if (pod.volumes != nullptr && std::ranges::none_of(*pod.volumes, named)) {
    return BadValue(*place.Find("name"), "there is no volume ", Quoted(mount.volume));
  }
  const std::string path = Cleaned(mount.mount_path);
  if (path == "/") return BadValue(*place.Find("mountPath"), "a volume cannot replace the whole root");
  if (paths.insert(path).second) return {};
  return BadValue(*place.Find("mountPath"), Quoted(mount.mount_path), " is mounted twice");
}

Result<> CheckMounts(const Node& node, const ContainerDraft& draft, const PodContext& pod) {
  const auto& mounts = draft.out.volume_mounts;
  if (mounts.empty()) return {};
  const Node& list = *node.Find("volumeMounts");
  Problems problems(node);
  std::set<std::string> paths;
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Node& place = *list.children[i];
    problems.Add(CheckMount(place, mounts[i], pod, paths));
    if (mounts[i].propagation == Propagation::kBidirectional && !draft.out.spec.security.privileged) {
      problems.Add(BadValue(*place.Find("mountPropagation"), "Bidirectional needs a privileged container"));
    }
  }
  return problems.Done();
}

// `variables`: as they are written, not expanded; kubelet's probes see those only.
Result<> ReadProbes(const ContainerDraft& draft, const PodContext& pod,
                    const std::map<std::string, std::string>& variables, probe::ContainerProbes& out) {
  ProbeContext context{&variables, {}, pod.pod->termination_grace};
  for (const PortDraft& port : draft.ports) context.ports[port.name] = static_cast<int>(port.port);
  context.ports.erase("");
  Problems problems(*pod.source);
  using probe::ProbeType;
  const std::tuple<const Node*, ProbeType, std::optional<probe::ProbeSpec>*> probes[] = {
      {draft.startup, ProbeType::kStartup, &out.startup},
      {draft.liveness, ProbeType::kLiveness, &out.liveness},
      {draft.readiness, ProbeType::kReadiness, &out.readiness}};
  for (const auto& [node, type, into] : probes) {
    if (node == nullptr) continue;
    auto read = ReadProbe(*node, type, context);
    if (read) {
      *into = *std::move(read);
    } else {
      problems.Add(read.error());
    }
  }
  if (draft.lifecycle != nullptr) problems.Add(ReadLifecycle(*draft.lifecycle, context, out));
  return problems.Done();
}

Result<> CheckInit(const ContainerDraft& draft) {
  if (draft.out.restart_policy == RestartPolicy::kAlways) return {};
  for (const Node* given : {draft.startup, draft.liveness, draft.readiness, draft.lifecycle}) {
    if (given != nullptr) return BadValue(*given, "of init containers only those with restartPolicy Always have it");
  }
  return {};
}

Result<ContainerDraft> ReadContainer(const Node& node, const PodContext& pod) {
  RETURN_IF_ERROR(ExpectMap(node));
  ContainerDraft draft;
  Problems problems(node);
  problems.Add(ReadObject(node, kContainerFields, draft));
  for (const char* name : {"name", "image"}) problems.Add(Require(node, name, node.Find(name) != nullptr));
  auto security = ReadContainerSecurity(draft.security, node, *pod.security);
  if (!security) problems.Add(security.error());
  if (security) draft.out.spec.security = *std::move(security);
  auto env = ReadEnvironment(draft.env_from, draft.env, pod, draft.out.spec.name);
  if (!env) problems.Add(env.error());
  problems.Add(ReadProbes(draft, pod, env ? env->written : decltype(env->written)(), draft.out.probes));
  problems.Add(env ? ReadProcess(*env, draft) : Result<>());
  problems.Add(CheckMounts(node, draft, pod));
  RETURN_IF_ERROR(problems.Done());
  draft.out.spec.user_specified_image = draft.out.spec.image;
  draft.out.spec.security.namespaces = pod.pod->sandbox.namespaces;
  draft.out.spec.stop_signal = draft.out.probes.stop_signal;
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

struct Taken {
  std::set<std::string> names, ports;
  std::set<std::tuple<int64_t, std::string, std::string>> host_ports;
  bool asks_cpu = false;
};

Result<> AddPorts(const Node& node, const ContainerDraft& draft, Taken& taken, SandboxSpec& sandbox) {
  Problems problems(node);
  const bool host_network = sandbox.namespaces.network == NamespaceMode::kNode;
  for (const PortDraft& port : draft.ports) {
    if (!port.name.empty() && !taken.ports.insert(port.name).second) {
      problems.Add(BadValue(node, "the name ", Quoted(port.name), " of a port is taken"));
    }
    if (port.host_port == 0) continue;
    const std::string number = std::to_string(port.host_port);
    if (host_network && port.host_port != port.port) {
      problems.Add(BadValue(node, "with hostNetwork the hostPort ", number, " has to be the containerPort"));
    }
    if (!taken.host_ports.emplace(port.host_port, port.protocol, port.host_ip).second) {
      problems.Add(BadValue(node, "the hostPort ", number, " is taken"));
    }
    const auto protocol = std::ranges::find(kProtocols, port.protocol) - std::begin(kProtocols);
    if (host_network) continue;
    sandbox.port_mappings.push_back(
        {static_cast<int>(protocol), static_cast<int>(port.port), static_cast<int>(port.host_port), port.host_ip});
  }
  return problems.Done();
}

Result<> AddContainer(const Node& node, const PodContext& pod, bool init, Taken& taken, PodManifest& out) {
  ASSIGN_OR_RETURN(ContainerDraft draft, ReadContainer(node, pod));
  Problems problems(node);
  if (init) problems.Add(CheckInit(draft));
  if (!taken.names.insert(draft.out.spec.name).second) {
    problems.Add(BadValue(node, "the name ", Quoted(draft.out.spec.name), " is taken"));
  }
  problems.Add(AddPorts(node, draft, taken, out.sandbox));
  taken.asks_cpu = taken.asks_cpu || draft.out.requests.milli_cpu;
  (init ? out.init_containers : out.containers).push_back(std::move(draft.out));
  return problems.Done();
}

Result<> AddGroup(const Node& list, const PodContext& pod, bool init, Taken& taken, PodManifest& out) {
  RETURN_IF_ERROR(ExpectList(list));
  Problems problems(list);
  for (const auto& child : list.children) problems.Add(AddContainer(*child, pod, init, taken, out));
  if (!init && list.children.empty()) problems.Add(BadValue(list, "a pod needs at least one container"));
  return problems.Done();
}

}  // namespace

Result<> ReadContainers(const Node* init, const Node& containers, const PodContext& pod, PodManifest& out) {
  Taken taken;
  Problems problems(containers);
  if (init != nullptr) problems.Add(AddGroup(*init, pod, true, taken, out));
  problems.Add(AddGroup(containers, pod, false, taken, out));
  FillShares(taken.asks_cpu, out.containers);
  FillShares(taken.asks_cpu, out.init_containers);
  return problems.Done();
}

}  // namespace fermata::sandbox::pods
