#include "sandbox/pods/manifest.h"

#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/pods/manifest_workloads.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

// What the documents of a file become.
struct Build {
  Objects objects;
  std::vector<PodManifest> pods;
  std::set<Objects::Name> names;  // of the pods
};

Result<> AddPods(const Node& document, std::vector<PodManifest> pods, Build& out) {
  for (PodManifest& pod : pods) {
    if (!out.names.emplace(pod.sandbox.name_space, pod.sandbox.name).second) {
      return BadValue(document, "the pod ", pod.sandbox.name_space, "/", pod.sandbox.name, " is given twice");
    }
    out.pods.push_back(std::move(pod));
  }
  return {};
}

template <auto Read>
Result<> AddPodsOf(const Node& document, Build& out) {
  ASSIGN_OR_RETURN(std::vector<PodManifest> pods, Read(document, out.objects));
  return AddPods(document, std::move(pods), out);
}

struct Kind {
  const char *name, *api_version;
  bool refers;  // to other documents, and is read after them
  Result<> (*read)(const Node& document, Build& out);
};
constexpr Kind kKinds[] = {
    {"ConfigMap", "v1", false,
     [](const Node& d, Build& out) { return ReadConfigDocument(d, ConfigKind::kConfigMap, out.objects); }},
    {"Secret", "v1", false,
     [](const Node& d, Build& out) { return ReadConfigDocument(d, ConfigKind::kSecret, out.objects); }},
    {"PersistentVolumeClaim", "v1", false, [](const Node& d, Build& out) { return ReadClaimDocument(d, out.objects); }},
    {"Pod", "v1", true, AddPodsOf<ReadPodDocument>},
    {"Deployment", "apps/v1", true, AddPodsOf<ReadDeployment>},
    {"ReplicaSet", "apps/v1", true, AddPodsOf<ReadReplicaSet>},
    {"StatefulSet", "apps/v1", true, AddPodsOf<ReadStatefulSet>},
    {"DaemonSet", "apps/v1", true, AddPodsOf<ReadDaemonSet>},
    {"Job", "batch/v1", true, AddPodsOf<ReadJob>},
};

// nullptr: known to Kubernetes or somebody else, and ignored.
Result<const Kind*> KindOf(const Node& document) {
  RETURN_IF_ERROR(ExpectMap(document));
  const Node* const kind = document.Find("kind");
  const Node* const version = document.Find("apiVersion");
  Problems problems(document);
  problems.Add(Require(document, "apiVersion", version != nullptr));
  problems.Add(Require(document, "kind", kind != nullptr));
  RETURN_IF_ERROR(problems.Done());
  for (const Node* text : {version, kind}) {
    if (const auto read = ReadString(*text); !read) return read.error();
  }
  const auto* found = std::ranges::find_if(kKinds, [&](const Kind& k) { return k.name == kind->scalar; });
  if (found == std::end(kKinds)) {
    RETURN_IF_ERROR(NotHonoured(*kind, Quoted(kind->scalar)));
    return nullptr;
  }
  if (version->scalar != found->api_version) {
    return BadValue(*version, "a ", found->name, " is of ", found->api_version);
  }
  return found;
}

struct ListDraft {
  const Node* items = nullptr;
};
constexpr Field<ListDraft> kListFields[] = {
    {"apiVersion", Only<ReadNothing>},
    {"kind", Only<ReadNothing>},
    {"metadata", Only<ExpectMap>},
    {"items", Keep<&ListDraft::items>},
};

// The documents, lists taken apart.
Result<> Flatten(const Node& document, std::vector<const Node*>& out) {
  const Node* const kind = document.Find("kind");
  if (kind == nullptr || kind->scalar != "List") {
    out.push_back(&document);
    return {};
  }
  ListDraft draft;
  RETURN_IF_ERROR(ReadObject(document, kListFields, draft));
  if (draft.items == nullptr) return {};
  RETURN_IF_ERROR(ExpectList(*draft.items));
  Problems problems(document);
  for (const auto& item : draft.items->children) problems.Add(Flatten(*item, out));
  return problems.Done();
}

void ReadDocuments(const std::vector<const Node*>& documents, Source& source, Build& out) {
  Problems problems(source);
  std::vector<std::pair<const Node*, const Kind*>> later;
  for (const Node* document : documents) {
    const Result<const Kind*> kind = KindOf(*document);
    if (!kind) {
      problems.Add(kind.error());
    } else if (*kind != nullptr && (*kind)->refers) {
      later.emplace_back(document, *kind);
    } else if (*kind != nullptr) {
      problems.Add((*kind)->read(*document, out));
    }
  }
  for (const auto& [document, kind] : later) problems.Add(kind->read(*document, out));
}

}  // namespace

Result<std::vector<PodManifest>> ParseManifest(std::string_view yaml, const std::string& file_name,
                                               const ManifestOptions& options) {
  Source source{file_name, options.allow_ignored, {}, {}};
  ASSIGN_OR_RETURN(const auto documents, ParseYaml(yaml, source));
  std::vector<const Node*> flat;
  Problems problems(source);
  for (const auto& document : documents) problems.Add(Flatten(*document, flat));
  Build build;
  ReadDocuments(flat, source, build);
  if (!source.errors.empty()) return JoinedErrors(source);
  if (build.pods.empty()) return Error::Make(ErrorCode::kInvalidArgument, file_name, ": no pod in it");
  if (options.ignored != nullptr) *options.ignored = std::move(source.ignored);
  return std::move(build.pods);
}

}  // namespace fermata::sandbox::pods
