#include "sandbox/pods/manifest_workloads.h"

#include <algorithm>

#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr int64_t kMostPods = 250;
constexpr int64_t kBackoffLimit = 6;  // Kubernetes' default

struct DocumentDraft {
  const Node* metadata = nullptr;
  const Node* spec = nullptr;
};
// A manifest that came out of `kubectl get` has a status; the server ignores it too.
constexpr Field<DocumentDraft> kDocumentFields[] = {
    {"apiVersion", Only<ReadNothing>},    {"kind", Only<ReadNothing>}, {"metadata", Keep<&DocumentDraft::metadata>},
    {"spec", Keep<&DocumentDraft::spec>}, {"status", Only<ExpectMap>},
};
constexpr Field<DocumentDraft> kTemplateFields[] = {
    {"metadata", Keep<&DocumentDraft::metadata>},
    {"spec", Keep<&DocumentDraft::spec>},
};

template <int64_t Least, int64_t Most>
Result<std::optional<int64_t>> ReadCount(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t count, ReadYamlInt(node));
  if (count >= Least && count <= Most) return std::optional(count);
  return BadValue(node, std::to_string(count), " is not in ", std::to_string(Least), "..", std::to_string(Most));
}

struct WorkloadDraft {
  std::optional<int64_t> replicas, completions, parallelism, backoff_limit, deadline;
  const Node* selector = nullptr;
  const Node* pod = nullptr;  // the template
  const Node* claims = nullptr;
  std::string service, management, mode;
};

Result<> ReadManagement(const Node& node, WorkloadDraft& out) {
  ASSIGN_OR_RETURN(out.management, ReadString(node));
  if (out.management == "OrderedReady" || out.management == "Parallel") return {};
  return BadValue(node, Quoted(out.management), " is none of OrderedReady and Parallel");
}
Result<> ReadCompletionMode(const Node& node, WorkloadDraft& out) {
  ASSIGN_OR_RETURN(out.mode, ReadString(node));
  if (out.mode == "NonIndexed" || out.mode == "Indexed") return {};
  return BadValue(node, Quoted(out.mode), " is none of NonIndexed and Indexed");
}

constexpr Field<WorkloadDraft> kDeploymentFields[] = {
    {"replicas", Put<&WorkloadDraft::replicas, ReadCount<0, kMostPods>>},
    {"selector", Keep<&WorkloadDraft::selector>},
    {"template", Keep<&WorkloadDraft::pod>},
    {"minReadySeconds", nullptr},
    {"paused", Only<OnlyFalse>},
    {"progressDeadlineSeconds", nullptr},
    {"revisionHistoryLimit", nullptr},
    {"strategy", nullptr},
};
constexpr Field<WorkloadDraft> kReplicaSetFields[] = {
    {"replicas", Put<&WorkloadDraft::replicas, ReadCount<0, kMostPods>>},
    {"selector", Keep<&WorkloadDraft::selector>},
    {"template", Keep<&WorkloadDraft::pod>},
    {"minReadySeconds", nullptr},
};
constexpr Field<WorkloadDraft> kStatefulSetFields[] = {
    {"replicas", Put<&WorkloadDraft::replicas, ReadCount<0, kMostPods>>},
    {"selector", Keep<&WorkloadDraft::selector>},
    {"template", Keep<&WorkloadDraft::pod>},
    {"serviceName", Put<&WorkloadDraft::service, ReadDnsLabel>},
    {"podManagementPolicy", ReadManagement},
    {"volumeClaimTemplates", Keep<&WorkloadDraft::claims>},
    {"minReadySeconds", nullptr},
    {"ordinals", nullptr},
    {"persistentVolumeClaimRetentionPolicy", nullptr},
    {"revisionHistoryLimit", nullptr},
    {"updateStrategy", nullptr},
};
constexpr Field<WorkloadDraft> kDaemonSetFields[] = {
    {"selector", Keep<&WorkloadDraft::selector>},
    {"template", Keep<&WorkloadDraft::pod>},
    {"minReadySeconds", nullptr},
    {"revisionHistoryLimit", nullptr},
    {"updateStrategy", nullptr},
};
constexpr Field<WorkloadDraft> kJobFields[] = {
    {"template", Keep<&WorkloadDraft::pod>},
    {"completions", Put<&WorkloadDraft::completions, ReadCount<1, kMostPods>>},
    {"parallelism", Put<&WorkloadDraft::parallelism, ReadCount<0, INT32_MAX>>},
    {"backoffLimit", Put<&WorkloadDraft::backoff_limit, ReadCount<0, INT32_MAX>>},
    {"activeDeadlineSeconds", Put<&WorkloadDraft::deadline, ReadCount<1, INT32_MAX>>},
    {"completionMode", ReadCompletionMode},
    {"suspend", Only<OnlyFalse>},
    {"backoffLimitPerIndex", nullptr},
    {"managedBy", nullptr},
    {"manualSelector", nullptr},
    {"maxFailedIndexes", nullptr},
    {"podFailurePolicy", nullptr},
    {"podReplacementPolicy", nullptr},
    {"selector", nullptr},
    {"successPolicy", nullptr},
    {"ttlSecondsAfterFinished", nullptr},
};

// A controller whose fields have been read.
struct Workload {
  const Node* spec;
  Metadata metadata, pod_metadata;
  const Node* pod_spec;
  WorkloadDraft draft;
};

template <size_t N>
Result<Workload> ReadWorkload(const Node& document, const Field<WorkloadDraft> (&fields)[N]) {
  DocumentDraft draft;
  RETURN_IF_ERROR(ReadObject(document, kDocumentFields, draft));
  RETURN_IF_ERROR(Require(document, "metadata", draft.metadata != nullptr));
  RETURN_IF_ERROR(Require(document, "spec", draft.spec != nullptr));
  Workload out{draft.spec, {}, {}, nullptr, {}};
  Problems problems(document);
  auto metadata = ReadNamedMetadata(*draft.metadata);
  if (!metadata) problems.Add(metadata.error());
  if (metadata) out.metadata = *std::move(metadata);
  problems.Add(ReadObject(*draft.spec, fields, out.draft));
  problems.Add(Require(*draft.spec, "template", out.draft.pod != nullptr));
  RETURN_IF_ERROR(problems.Done());
  DocumentDraft pod;
  RETURN_IF_ERROR(ReadObject(*out.draft.pod, kTemplateFields, pod));
  RETURN_IF_ERROR(Require(*out.draft.pod, "spec", pod.spec != nullptr));
  out.pod_spec = pod.spec;
  if (pod.metadata != nullptr) {
    ASSIGN_OR_RETURN(out.pod_metadata, ReadMetadata(*pod.metadata));
  }
  return out;
}

Result<> CheckSelectorOf(const Workload& workload) {
  RETURN_IF_ERROR(Require(*workload.spec, "selector", workload.draft.selector != nullptr));
  return CheckSelector(*workload.draft.selector, workload.pod_metadata.labels);
}

// Pods of a controller are for ever; those of a Job end.
Result<> CheckAlways(const Workload& workload) {
  const Node* const policy = workload.pod_spec->Find("restartPolicy");
  if (policy != nullptr && policy->scalar != "Always") return BadValue(*policy, "must be Always");
  const Node* const deadline = workload.pod_spec->Find("activeDeadlineSeconds");
  if (deadline != nullptr) return BadValue(*deadline, "is for pods that end");
  return {};
}

PodManifest PodOf(const Metadata& metadata, const std::string& name_space, const std::string& name) {
  PodManifest pod;
  pod.sandbox.owner = Owner::kPods;
  pod.sandbox.name = name;
  pod.sandbox.name_space = name_space;
  pod.sandbox.labels = metadata.labels;
  pod.sandbox.annotations = metadata.annotations;
  return pod;
}

std::string NameOf(const Workload& workload, int64_t index) {
  return workload.metadata.name + "-" + std::to_string(index);
}

struct Part {
  const Workload& workload;
  const Objects& objects;
  int64_t index;
};
// Makes the pod of the index out of the template's, before and after its spec is read.
using Change = Result<> (*)(const Part& part, PodManifest& pod);
Result<> NoChange(const Part&, PodManifest&) { return {}; }

Result<std::vector<PodManifest>> MakePods(const Workload& workload, const Objects& objects, int64_t count,
                                          Change prepare, Change finish) {
  std::vector<PodManifest> pods;
  for (int64_t index = 0; index < std::max<int64_t>(count, 1); ++index) {  // none is read too
    PodManifest pod = PodOf(workload.pod_metadata, workload.metadata.name_space, NameOf(workload, index));
    RETURN_IF_ERROR(prepare({workload, objects, index}, pod));
    RETURN_IF_ERROR(ReadPodSpec(*workload.pod_spec, objects, pod));
    RETURN_IF_ERROR(finish({workload, objects, index}, pod));
    if (index < count) pods.push_back(std::move(pod));
  }
  return pods;
}

template <size_t N>
Result<std::vector<PodManifest>> ReadController(const Node& document, const Field<WorkloadDraft> (&fields)[N],
                                                const Objects& objects, Change prepare, Change finish) {
  ASSIGN_OR_RETURN(const Workload workload, ReadWorkload(document, fields));
  Problems problems(document);
  problems.Add(CheckSelectorOf(workload));
  problems.Add(CheckAlways(workload));
  auto pods = MakePods(workload, objects, workload.draft.replicas.value_or(1), prepare, finish);
  if (!pods) problems.Add(pods.error());
  RETURN_IF_ERROR(problems.Done());
  return pods;
}

Result<PodVolume> ReadClaimTemplate(const Node& node, const std::string& pod_name) {
  DocumentDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kDocumentFields, draft));
  RETURN_IF_ERROR(Require(node, "metadata", draft.metadata != nullptr));
  RETURN_IF_ERROR(Require(node, "spec", draft.spec != nullptr));
  ASSIGN_OR_RETURN(const Metadata metadata, ReadNamedMetadata(*draft.metadata));
  RETURN_IF_ERROR(CheckClaimSpec(*draft.spec));
  PodVolume volume;
  volume.name = metadata.name;
  volume.kind = PodVolume::Kind::kClaim;
  volume.claim = metadata.name + "-" + pod_name;
  volume.claim_declared = true;
  return volume;
}

Result<> PrepareStateful(const Part& part, PodManifest& pod) {
  if (part.workload.draft.claims != nullptr) {
    ASSIGN_OR_RETURN(pod.volumes, ReadListWith<PodVolume>(*part.workload.draft.claims, [&pod](const Node& n) {
                       return ReadClaimTemplate(n, pod.sandbox.name);
                     }));
  }
  pod.sandbox.labels["statefulset.kubernetes.io/pod-name"] = pod.sandbox.name;
  pod.sandbox.labels["apps.kubernetes.io/pod-index"] = std::to_string(part.index);
  return {};
}
// Each has its own name, in the domain of the service.
Result<> FinishStateful(const Part& part, PodManifest& pod) {
  return FillHostname(*part.workload.pod_spec, {"", part.workload.draft.service, false}, pod.sandbox);
}

// How many pods run at once, which is all of them: there is nobody who would start others later.
Result<int64_t> CompletionsOf(const Workload& job) {
  const WorkloadDraft& draft = job.draft;
  const int64_t parallelism = draft.parallelism.value_or(1);
  const int64_t completions = draft.completions.value_or(1);
  if (draft.mode == "Indexed") RETURN_IF_ERROR(Require(*job.spec, "completions", draft.completions.has_value()));
  if (!draft.completions && parallelism > 1) {
    return NotSupportedYet(*job.spec->Find("parallelism"), "a work queue (parallelism without completions)");
  }
  if (parallelism < completions) {
    const Node* const place = job.spec->Find("parallelism");
    return NotSupportedYet(place != nullptr ? *place : *job.spec->Find("completions"), "parallelism below completions");
  }
  return completions;
}

Result<> CheckJob(const Workload& job) {
  const Node* const policy = job.pod_spec->Find("restartPolicy");
  if (policy == nullptr || policy->scalar == "Always") {
    return BadValue(policy != nullptr ? *policy : *job.pod_spec, "restartPolicy must be OnFailure or Never");
  }
  const int64_t limit = job.draft.backoff_limit.value_or(0);
  if (policy->scalar == "Never" && limit > 0) {
    return NotHonoured(*job.spec->Find("backoffLimit"),
                       "replacing a failed pod (backoffLimit with restartPolicy Never)");
  }
  return {};
}

Result<> PrepareJob(const Part& part, PodManifest& pod) {
  const std::string& name = part.workload.metadata.name;
  pod.sandbox.labels["batch.kubernetes.io/job-name"] = name;
  pod.sandbox.labels["job-name"] = name;
  if (part.workload.draft.mode == "Indexed") {
    const std::string index = std::to_string(part.index);
    pod.sandbox.labels["batch.kubernetes.io/job-completion-index"] = index;
    pod.sandbox.annotations["batch.kubernetes.io/job-completion-index"] = index;
  }
  return {};
}
Result<> FinishJob(const Part& part, PodManifest& pod) {
  const WorkloadDraft& draft = part.workload.draft;
  if (pod.restart_policy == RestartPolicy::kOnFailure) pod.restart_limit = draft.backoff_limit.value_or(kBackoffLimit);
  if (draft.deadline) {
    const std::chrono::seconds deadline(*draft.deadline);
    pod.active_deadline = std::min(pod.active_deadline.value_or(deadline), deadline);
  }
  if (draft.mode != "Indexed") return {};
  for (auto* list : {&pod.init_containers, &pod.containers}) {
    for (PodContainer& container : *list) {
      EnvVariable variable{"JOB_COMPLETION_INDEX", {}, false};
      variable.value.text = std::to_string(part.index);
      container.env.push_back(variable);
      container.spec.env.push_back(variable.name + "=" + variable.value.text);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<PodManifest>> ReadPodDocument(const Node& document, const Objects& objects) {
  DocumentDraft draft;
  Problems problems(document);
  problems.Add(ReadObject(document, kDocumentFields, draft));
  problems.Add(Require(document, "metadata", draft.metadata != nullptr));
  problems.Add(Require(document, "spec", draft.spec != nullptr));
  Metadata metadata;
  if (draft.metadata != nullptr) {
    auto read = ReadNamedMetadata(*draft.metadata);
    if (!read) problems.Add(read.error());
    if (read) metadata = *std::move(read);
  }
  std::vector<PodManifest> pods = {PodOf(metadata, metadata.name_space, metadata.name)};
  if (draft.spec != nullptr) problems.Add(ReadPodSpec(*draft.spec, objects, pods.front()));
  RETURN_IF_ERROR(problems.Done());
  return pods;
}

Result<std::vector<PodManifest>> ReadDeployment(const Node& document, const Objects& objects) {
  return ReadController(document, kDeploymentFields, objects, NoChange, NoChange);
}
Result<std::vector<PodManifest>> ReadReplicaSet(const Node& document, const Objects& objects) {
  return ReadController(document, kReplicaSetFields, objects, NoChange, NoChange);
}
Result<std::vector<PodManifest>> ReadStatefulSet(const Node& document, const Objects& objects) {
  return ReadController(document, kStatefulSetFields, objects, PrepareStateful, FinishStateful);
}
Result<std::vector<PodManifest>> ReadDaemonSet(const Node& document, const Objects& objects) {
  return ReadController(document, kDaemonSetFields, objects, NoChange, NoChange);
}

Result<std::vector<PodManifest>> ReadJob(const Node& document, const Objects& objects) {
  ASSIGN_OR_RETURN(const Workload job, ReadWorkload(document, kJobFields));
  Problems problems(document);
  problems.Add(CheckJob(job));
  const auto completions = CompletionsOf(job);
  if (!completions) problems.Add(completions.error());
  auto pods = MakePods(job, objects, completions ? *completions : 1, PrepareJob, FinishJob);
  if (!pods) problems.Add(pods.error());
  RETURN_IF_ERROR(problems.Done());
  return pods;
}

}  // namespace fermata::sandbox::pods
