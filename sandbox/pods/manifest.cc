#include "sandbox/pods/manifest.h"

#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct DocumentDraft {
  std::string api_version, kind;
  const Node* metadata = nullptr;
  const Node* spec = nullptr;
};
// A manifest that came out of `kubectl get` has a status; the server ignores it too.
constexpr Field<DocumentDraft> kDocumentFields[] = {
    {"apiVersion", Put<&DocumentDraft::api_version, ReadString>},
    {"kind", Put<&DocumentDraft::kind, ReadString>},
    {"metadata", Keep<&DocumentDraft::metadata>},
    {"spec", Keep<&DocumentDraft::spec>},
    {"status", Only<ExpectMap>},
};

constexpr Field<SandboxSpec> kMetadataFields[] = {
    {"name", Put<&SandboxSpec::name, ReadDnsSubdomain>},
    {"namespace", Put<&SandboxSpec::name_space, ReadDnsLabel>},
    {"labels", Put<&SandboxSpec::labels, ReadLabels>},
    {"annotations", Put<&SandboxSpec::annotations, ReadAnnotations>},
    {"creationTimestamp", nullptr},
    {"deletionGracePeriodSeconds", nullptr},
    {"deletionTimestamp", nullptr},
    {"finalizers", nullptr},
    {"generateName", nullptr},
    {"generation", nullptr},
    {"managedFields", nullptr},
    {"ownerReferences", nullptr},
    {"resourceVersion", nullptr},
    {"selfLink", nullptr},
    {"uid", nullptr},
};

struct PodDraft {
  PodManifest pod;
  bool host_network = false, host_pid = false, host_ipc = false, share_pid = false;
  std::string dns_policy = "ClusterFirst";
  std::string hostname;
  const Node* containers = nullptr;
  const Node* init_containers = nullptr;
  const Node* dns_config = nullptr;
  SecurityDraft security;
  std::vector<PodVolume> volumes;
  std::map<std::string, std::vector<std::string>> host_aliases;
};

struct AliasDraft {
  std::string ip;
  std::vector<std::string> names;
};
Result<std::vector<std::string>> ReadHostNames(const Node& node) {
  return ReadList<std::string>(node, ReadDnsSubdomain);
}
constexpr Field<AliasDraft> kAliasFields[] = {
    {"ip", Put<&AliasDraft::ip, ReadIp>},
    {"hostnames", Put<&AliasDraft::names, ReadHostNames>},
};
Result<AliasDraft> ReadAlias(const Node& node) {
  AliasDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kAliasFields, draft));
  RETURN_IF_ERROR(Require(node, "ip", !draft.ip.empty()));
  return draft;
}

struct NamedValue {
  std::string name;
  std::optional<std::string> value;
};
Result<std::optional<std::string>> OptionalString(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  return std::optional(std::move(text));
}
constexpr Field<NamedValue> kNamedValueFields[] = {
    {"name", Put<&NamedValue::name, ReadString>},
    {"value", Put<&NamedValue::value, OptionalString>},
};
Result<NamedValue> ReadNamedValue(const Node& node) {
  NamedValue draft;
  RETURN_IF_ERROR(ReadObject(node, kNamedValueFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.name.empty()));
  return draft;
}

Result<std::vector<std::string>> ReadDnsOptions(const Node& node) {
  ASSIGN_OR_RETURN(const std::vector<NamedValue> list, ReadList<NamedValue>(node, ReadNamedValue));
  std::vector<std::string> options;
  for (const NamedValue& option : list) options.push_back(option.name + (option.value ? ":" + *option.value : ""));
  return options;
}
constexpr Field<DnsConfig> kDnsFields[] = {
    {"nameservers", Put<&DnsConfig::servers, ReadStrings>},
    {"searches", Put<&DnsConfig::searches, ReadStrings>},
    {"options", Put<&DnsConfig::options, ReadDnsOptions>},
};

Result<std::string> ReadDnsPolicy(const Node& node) {
  ASSIGN_OR_RETURN(std::string policy, ReadString(node));
  for (const char* known : {"Default", "ClusterFirst", "ClusterFirstWithHostNet", "None"}) {
    if (policy == known) return policy;
  }
  return BadValue(node, Quoted(policy), " is none of Default, ClusterFirst, ClusterFirstWithHostNet and None");
}

Result<> ReadGrace(const Node& node, PodDraft& out) {
  constexpr int64_t kMost = INT32_MAX;
  ASSIGN_OR_RETURN(const int64_t seconds, ReadYamlInt(node));
  if (seconds < 0 || seconds > kMost) return BadValue(node, std::to_string(seconds), " is not in 0..2147483647");
  out.pod.termination_grace = std::chrono::seconds(seconds);
  return {};
}

Result<> ReadAliases(const Node& node, PodDraft& out) {
  ASSIGN_OR_RETURN(const std::vector<AliasDraft> list, ReadList<AliasDraft>(node, ReadAlias));
  for (const AliasDraft& alias : list) {
    std::vector<std::string>& names = out.host_aliases[alias.ip];
    names.insert(names.end(), alias.names.begin(), alias.names.end());
  }
  return {};
}

constexpr Field<PodDraft> kPodFields[] = {
    {"containers", Keep<&PodDraft::containers>},
    {"initContainers", Keep<&PodDraft::init_containers>},
    {"volumes", Put<&PodDraft::volumes, ReadVolumes>},
    {"restartPolicy",
     [](const Node& node, PodDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.pod.restart_policy, ReadRestartPolicy(node));
       return {};
     }},
    {"terminationGracePeriodSeconds", ReadGrace},
    {"shareProcessNamespace", Put<&PodDraft::share_pid, ReadYamlBool>},
    {"hostNetwork", Put<&PodDraft::host_network, ReadYamlBool>},
    {"hostPID", Put<&PodDraft::host_pid, ReadYamlBool>},
    {"hostIPC", Put<&PodDraft::host_ipc, ReadYamlBool>},
    {"hostname", Put<&PodDraft::hostname, ReadDnsLabel>},
    {"hostAliases", ReadAliases},
    {"dnsPolicy", Put<&PodDraft::dns_policy, ReadDnsPolicy>},
    {"dnsConfig", Keep<&PodDraft::dns_config>},
    {"securityContext", Put<&PodDraft::security, ReadPodSecurity>},
    // Values that say what is the case without a cluster.
    {"automountServiceAccountToken", Only<OnlyFalse>},
    {"enableServiceLinks", Only<OnlyFalse>},
    {"hostUsers", Only<OnlyTrue>},
    {"setHostnameAsFQDN", Only<OnlyFalse>},
    {"activeDeadlineSeconds", nullptr},
    {"affinity", nullptr},
    {"ephemeralContainers", nullptr},
    {"hostnameOverride", nullptr},
    {"imagePullSecrets", nullptr},
    {"nodeName", nullptr},
    {"nodeSelector", nullptr},
    {"os", nullptr},
    {"overhead", nullptr},
    {"preemptionPolicy", nullptr},
    {"priority", nullptr},
    {"priorityClassName", nullptr},
    {"readinessGates", nullptr},
    {"resourceClaims", nullptr},
    {"resources", nullptr},
    {"runtimeClassName", nullptr},
    {"schedulerName", nullptr},
    {"schedulingGates", nullptr},
    {"serviceAccount", nullptr},
    {"serviceAccountName", nullptr},
    {"subdomain", nullptr},
    {"tolerations", nullptr},
    {"topologySpreadConstraints", nullptr},
    {"workloadRef", nullptr},
};

// The empty DNS configuration is the host's resolv.conf: there is no cluster to be first.
Result<> FillDns(const Node& spec, const PodDraft& draft, SandboxSpec& out) {
  if (draft.dns_policy != "None") {
    if (draft.dns_config == nullptr) return {};
    return NotSupportedYet(*draft.dns_config, "adding to the host's resolv.conf (dnsPolicy other than None)");
  }
  if (draft.dns_config == nullptr) return BadValue(spec, "dnsPolicy None needs a dnsConfig");
  RETURN_IF_ERROR(ReadObject(*draft.dns_config, kDnsFields, out.dns));
  if (auto checked = CheckDns(out.dns); !checked) return AtNode(*draft.dns_config, checked.error());
  if (out.dns.servers.empty()) return BadValue(*draft.dns_config, "dnsPolicy None needs a nameserver");
  return {};
}

Result<> FillNamespaces(const Node& spec, const PodDraft& draft, NamespaceOptions& out) {
  if (draft.host_pid && draft.share_pid) return BadValue(spec, "hostPID and shareProcessNamespace exclude each other");
  out.network = draft.host_network ? NamespaceMode::kNode : NamespaceMode::kPod;
  out.ipc = draft.host_ipc ? NamespaceMode::kNode : NamespaceMode::kPod;
  out.pid = draft.share_pid ? NamespaceMode::kPod : NamespaceMode::kContainer;
  if (draft.host_pid) out.pid = NamespaceMode::kNode;
  return {};
}

Result<> FillSysctls(const Node* node, SandboxSpec& out) {
  if (node == nullptr) return {};
  ASSIGN_OR_RETURN(const std::vector<NamedValue> list, ReadList<NamedValue>(*node, ReadNamedValue));
  for (size_t i = 0; i < list.size(); ++i) {
    const Node& place = *node->children[i];
    RETURN_IF_ERROR(Require(place, "value", list[i].value.has_value()));
    if (auto checked = CheckSysctl(list[i].name, *list[i].value, out.namespaces); !checked) {
      return AtNode(place, checked.error());
    }
    if (!out.sysctls.emplace(list[i].name, *list[i].value).second) {
      return BadValue(place, Quoted(list[i].name), " is given twice");
    }
  }
  return {};
}

// A pod's name may be longer than the kernel lets a host name be; kubelet cuts it the same way.
std::string HostnameOf(const std::string& pod_name) {
  constexpr size_t kMost = 63;
  std::string name = pod_name.substr(0, kMost);
  name.erase(name.find_last_not_of("-.") + 1);
  return name;
}

Result<> ReadMetadata(const Node& node, SandboxSpec& out) {
  out.owner = Owner::kPods;
  out.name_space = "default";
  RETURN_IF_ERROR(ReadObject(node, kMetadataFields, out));
  return Require(node, "name", !out.name.empty());
}

Result<> ReadSpec(const Node& node, PodManifest& out) {
  PodDraft draft;
  draft.pod = std::move(out);
  RETURN_IF_ERROR(ReadObject(node, kPodFields, draft));
  RETURN_IF_ERROR(Require(node, "containers", draft.containers != nullptr));
  out = std::move(draft.pod);
  RETURN_IF_ERROR(FillNamespaces(node, draft, out.sandbox.namespaces));
  RETURN_IF_ERROR(FillDns(node, draft, out.sandbox));
  RETURN_IF_ERROR(FillSysctls(draft.security.sysctls, out.sandbox));
  const PodContext context{&draft.security, &draft.volumes, out.sandbox.namespaces, out.termination_grace};
  RETURN_IF_ERROR(ReadContainers(draft.init_containers, *draft.containers, context, out));
  // Without a network namespace of its own a pod has the host's name.
  const std::string hostname = draft.hostname.empty() ? HostnameOf(out.sandbox.name) : draft.hostname;
  if (!draft.host_network) out.sandbox.hostname = hostname;
  out.sandbox.host_aliases = std::move(draft.host_aliases);
  const auto privileged = [](const PodContainer& c) { return c.spec.security.privileged; };
  out.sandbox.privileged =
      std::ranges::any_of(out.containers, privileged) || std::ranges::any_of(out.init_containers, privileged);
  out.volumes = std::move(draft.volumes);
  out.share_process_namespace = draft.share_pid;
  return {};
}

Result<PodManifest> ReadPod(const Node& node) {
  RETURN_IF_ERROR(ExpectMap(node));
  // First of all, or the fields of a Deployment would be called unknown.
  if (const Node* kind = node.Find("kind"); kind != nullptr && kind->scalar != "Pod") {
    return NotSupportedYet(*kind, Quoted(kind->scalar));
  }
  DocumentDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kDocumentFields, draft));
  RETURN_IF_ERROR(Require(node, "apiVersion", !draft.api_version.empty()));
  RETURN_IF_ERROR(Require(node, "kind", !draft.kind.empty()));
  if (draft.api_version != "v1") return BadValue(*node.Find("apiVersion"), "a Pod is of v1");
  RETURN_IF_ERROR(Require(node, "metadata", draft.metadata != nullptr));
  RETURN_IF_ERROR(Require(node, "spec", draft.spec != nullptr));
  PodManifest pod;
  RETURN_IF_ERROR(ReadMetadata(*draft.metadata, pod.sandbox));
  RETURN_IF_ERROR(ReadSpec(*draft.spec, pod));
  return pod;
}

}  // namespace

Result<std::vector<PodManifest>> ParseManifest(std::string_view yaml, const std::string& file_name) {
  ASSIGN_OR_RETURN(const auto documents, ParseYaml(yaml, file_name));
  std::vector<PodManifest> pods;
  std::set<std::pair<std::string, std::string>> names;
  for (const auto& document : documents) {
    ASSIGN_OR_RETURN(PodManifest pod, ReadPod(*document));
    if (!names.emplace(pod.sandbox.name_space, pod.sandbox.name).second) {
      return BadValue(*document, "the pod ", pod.sandbox.name_space, "/", pod.sandbox.name, " is given twice");
    }
    pods.push_back(std::move(pod));
  }
  if (pods.empty()) return Error::Make(ErrorCode::kInvalidArgument, file_name, ": no pod in it");
  return pods;
}

}  // namespace fermata::sandbox::pods
