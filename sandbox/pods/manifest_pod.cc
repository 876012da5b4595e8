// The spec of a pod.
#include <algorithm>

#include "overlay/registry/auth_file.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct PodDraft {
  PodManifest pod;
  bool host_network = false, host_pid = false, host_ipc = false, share_pid = false;
  std::string dns_policy = "ClusterFirst";
  HostnameDraft host;
  const Node* containers = nullptr;
  const Node* init_containers = nullptr;
  const Node* dns_config = nullptr;
  const Node* volumes = nullptr;
  const Node* pull_secrets = nullptr;
  SecurityDraft security;
  std::map<std::string, std::vector<std::string>> host_aliases;
};

Result<> ReadGrace(const Node& node, PodDraft& out) {
  constexpr int64_t kMost = INT32_MAX;
  ASSIGN_OR_RETURN(const int64_t seconds, ReadYamlInt(node));
  if (seconds < 0 || seconds > kMost) return BadValue(node, std::to_string(seconds), " is not in 0..2147483647");
  out.pod.termination_grace = std::chrono::seconds(seconds);
  return {};
}

Result<> ReadDeadline(const Node& node, PodDraft& out) {
  constexpr int64_t kMost = INT32_MAX;
  ASSIGN_OR_RETURN(const int64_t seconds, ReadYamlInt(node));
  if (seconds < 1 || seconds > kMost) return BadValue(node, std::to_string(seconds), " is not in 1..2147483647");
  out.pod.active_deadline = std::chrono::seconds(seconds);
  return {};
}

Result<> OnlyDefault(const Node& node) { return OnlyText(node, "default"); }
Result<> OnlyDefaultScheduler(const Node& node) { return OnlyText(node, "default-scheduler"); }

struct OsDraft {
  std::string name;
};
constexpr Field<OsDraft> kOsFields[] = {{"name", Put<&OsDraft::name, ReadString>}};
Result<> OnlyLinux(const Node& node) {
  OsDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kOsFields, draft));
  return draft.name == "linux" ? Result<>() : BadValue(node, "must be linux");
}

template <auto Member, auto Read>
Result<> PutHost(const Node& node, PodDraft& out) {
  ASSIGN_OR_RETURN(out.host.*Member, Read(node));
  return {};
}

constexpr Field<PodDraft> kPodFields[] = {
    {"containers", Keep<&PodDraft::containers>},
    {"initContainers", Keep<&PodDraft::init_containers>},
    {"volumes", Keep<&PodDraft::volumes>},
    {"imagePullSecrets", Keep<&PodDraft::pull_secrets>},
    {"activeDeadlineSeconds", ReadDeadline},
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
    {"hostname", PutHost<&HostnameDraft::hostname, ReadDnsLabel>},
    {"subdomain", PutHost<&HostnameDraft::subdomain, ReadDnsLabel>},
    {"setHostnameAsFQDN", PutHost<&HostnameDraft::as_fqdn, ReadYamlBool>},
    {"hostAliases", Put<&PodDraft::host_aliases, ReadHostAliases>},
    {"dnsPolicy", Put<&PodDraft::dns_policy, ReadDnsPolicy>},
    {"dnsConfig", Keep<&PodDraft::dns_config>},
    {"securityContext", Put<&PodDraft::security, ReadPodSecurity>},
    {"schedulerName", Only<OnlyDefaultScheduler>},
    {"serviceAccount", Only<OnlyDefault>},
    {"serviceAccountName", Only<OnlyDefault>},
    // Values that say what is the case without a cluster.
    {"automountServiceAccountToken", Only<OnlyFalse>},
    {"enableServiceLinks", Only<OnlyFalse>},
    {"hostUsers", Only<OnlyTrue>},
    {"affinity", nullptr},
    {"ephemeralContainers", nullptr},
    {"hostnameOverride", nullptr},
    {"nodeName", nullptr},
    {"nodeSelector", nullptr},
    {"os", Only<OnlyLinux>},
    {"overhead", nullptr},
    {"preemptionPolicy", nullptr},
    {"priority", nullptr},
    {"priorityClassName", nullptr},
    {"readinessGates", nullptr},
    {"resourceClaims", nullptr},
    {"resources", nullptr},
    {"runtimeClassName", nullptr},
    {"schedulingGates", nullptr},
    {"tolerations", nullptr},
    {"topologySpreadConstraints", nullptr},
    {"workloadRef", nullptr},
};

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

constexpr Field<ObjectRef> kPullSecretFields[] = {{"name", Put<&ObjectRef::name, ReadDnsSubdomain>}};

Result<std::string> ReadPullSecret(const Node& node, const PodContext& pod) {
  ObjectRef ref;
  RETURN_IF_ERROR(ReadObject(node, kPullSecretFields, ref));
  RETURN_IF_ERROR(Require(node, "name", !ref.name.empty()));
  ASSIGN_OR_RETURN(const ConfigObject* const secret, FindObject(node, pod, ConfigKind::kSecret, ref));
  if (secret->type != "kubernetes.io/dockerconfigjson") {
    return BadValue(node, "the Secret ", Quoted(ref.name), " is not of type kubernetes.io/dockerconfigjson");
  }
  std::string text = secret->data.at(".dockerconfigjson");
  if (!overlay::ParseAuthFile(text, ref.name)) return BadValue(node, Quoted(ref.name), " has no form of docker's");
  return text;
}

std::set<std::string> NamesIn(const PodDraft& draft) {
  std::set<std::string> names;
  for (const Node* list : {draft.init_containers, draft.containers}) {
    if (list == nullptr) continue;
    for (const auto& child : list->children) {
      if (const Node* name = child->Find("name")) names.insert(name->scalar);
    }
  }
  return names;
}

// What of it needs the whole: in an order in which each finds what it refers to.
Result<> FillRest(const Node& node, const PodDraft& draft, const Objects& objects, PodManifest& out) {
  Problems problems(node);
  problems.Add(FillNamespaces(node, draft, out.sandbox.namespaces));
  problems.Add(FillDns(node, draft.dns_policy, draft.dns_config, out));
  problems.Add(FillHostname(node, draft.host, out.sandbox));
  problems.Add(FillSysctls(draft.security.sysctls, out.sandbox));
  PodContext context{&draft.security, &out.volumes, &objects, &out, NamesIn(draft), node.source};
  if (draft.volumes != nullptr) {
    auto volumes = ReadVolumes(*draft.volumes, context);
    if (volumes) {
      const std::vector<PodVolume> given = std::exchange(out.volumes, *std::move(volumes));
      for (const PodVolume& volume : given) {
        std::erase_if(out.volumes, [&volume](const PodVolume& v) { return v.name == volume.name; });
        out.volumes.push_back(volume);
      }
    } else {
      problems.Add(volumes.error());
      context.volumes = nullptr;
    }
  }
  if (draft.pull_secrets != nullptr) {
    auto auths = ReadListWith<std::string>(*draft.pull_secrets,
                                           [&context](const Node& n) { return ReadPullSecret(n, context); });
    if (!auths) problems.Add(auths.error());
    if (auths) out.pull_auths = *std::move(auths);
  }
  if (draft.containers == nullptr) {
    problems.Add(Require(node, "containers", node.Find("containers") != nullptr));
  } else {
    problems.Add(ReadContainers(draft.init_containers, *draft.containers, context, out));
  }
  return problems.Done();
}

}  // namespace

Result<> ReadPodSpec(const Node& node, const Objects& objects, PodManifest& out) {
  RETURN_IF_ERROR(ExpectMap(node));
  PodDraft draft;
  draft.pod = std::move(out);
  Problems problems(node);
  problems.Add(ReadObject(node, kPodFields, draft));
  out = std::move(draft.pod);
  problems.Add(FillRest(node, draft, objects, out));
  out.sandbox.host_aliases = std::move(draft.host_aliases);
  const auto privileged = [](const PodContainer& c) { return c.spec.security.privileged; };
  out.sandbox.privileged =
      std::ranges::any_of(out.containers, privileged) || std::ranges::any_of(out.init_containers, privileged);
  out.share_process_namespace = draft.share_pid;
  out.fs_group = draft.security.fs_group;
  out.fs_group_on_mismatch = draft.security.fs_group_on_mismatch;
  return problems.Done();
}

}  // namespace fermata::sandbox::pods
