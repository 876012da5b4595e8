// spec.volumes.
#include <algorithm>

#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct VolumeDraft {
  PodVolume volume;
  int sources = 0;
  const Node* config_map = nullptr;
  const Node* secret = nullptr;
  const Node* downward = nullptr;
  const Node* projected = nullptr;
  const Node* claim = nullptr;
};

Result<std::string> ReadHostPathType(const Node& node) {
  constexpr std::string_view kTypes[] = {"",       "DirectoryOrCreate", "Directory",  "FileOrCreate", "File",
                                         "Socket", "CharDevice",        "BlockDevice"};
  ASSIGN_OR_RETURN(std::string type, ReadString(node));
  if (std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes)) return type;
  return BadValue(node, Quoted(type), " is no type of a host path");
}

Result<> ReadMedium(const Node& node, VolumeDraft& out) {
  ASSIGN_OR_RETURN(const std::string medium, ReadString(node));
  if (medium.starts_with("HugePages")) return NotHonoured(node, Quoted(medium));
  if (medium != "Memory" && !medium.empty()) return BadValue(node, Quoted(medium), " is no medium");
  out.volume.memory = medium == "Memory";
  return {};
}

Result<> ReadSizeLimit(const Node& node, VolumeDraft& out) {
  auto bytes = ParseQuantity(node.scalar, 0);
  if (!bytes) return AtNode(node, bytes.error());
  if (*bytes > 0) out.volume.limit_bytes = *bytes;
  return {};
}

constexpr Field<VolumeDraft> kEmptyDirFields[] = {{"medium", ReadMedium}, {"sizeLimit", ReadSizeLimit}};
constexpr Field<PodVolume> kHostPathFields[] = {
    {"path", Put<&PodVolume::host_path, ReadAbsolutePath>},
    {"type", Put<&PodVolume::host_path_type, ReadHostPathType>},
};

Result<> ReadEmptyDir(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.volume.kind = PodVolume::Kind::kEmptyDir;
  RETURN_IF_ERROR(ReadObject(node, kEmptyDirFields, out));
  if (!out.volume.limit_bytes || out.volume.memory) return {};
  out.volume.limit_bytes = std::nullopt;
  return NotHonoured(*node.Find("sizeLimit"), "on a disk");
}

Result<> ReadHostPath(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.volume.kind = PodVolume::Kind::kHostPath;
  RETURN_IF_ERROR(ReadObject(node, kHostPathFields, out.volume));
  return Require(node, "path", !out.volume.host_path.empty());
}

// Those that need to know the pod are read when all of the volume is there.
template <auto Member>
Result<> KeepSource(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.*Member = &node;
  return {};
}

Result<> NoSource(const Node& node, VolumeDraft& out) {
  ++out.sources;
  return NotSupportedYet(node);
}

constexpr Field<PodVolume> kImageFields[] = {
    {"reference", Put<&PodVolume::image, ReadImage>},
    {"pullPolicy", Put<&PodVolume::pull_policy, ReadPullPolicy>},
};

Result<> ReadImageSource(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.volume.kind = PodVolume::Kind::kImage;
  RETURN_IF_ERROR(ReadObject(node, kImageFields, out.volume));
  return Require(node, "reference", !out.volume.image.empty());
}

constexpr Field<VolumeDraft> kVolumeFields[] = {
    {"name",
     [](const Node& node, VolumeDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.volume.name, ReadDnsLabel(node));
       return {};
     }},
    {"emptyDir", ReadEmptyDir},
    {"hostPath", ReadHostPath},
    {"configMap", KeepSource<&VolumeDraft::config_map>},
    {"secret", KeepSource<&VolumeDraft::secret>},
    {"downwardAPI", KeepSource<&VolumeDraft::downward>},
    {"projected", KeepSource<&VolumeDraft::projected>},
    {"persistentVolumeClaim", KeepSource<&VolumeDraft::claim>},
    {"image", ReadImageSource},
    {"awsElasticBlockStore", NoSource},
    {"azureDisk", NoSource},
    {"azureFile", NoSource},
    {"cephfs", NoSource},
    {"cinder", NoSource},
    {"csi", NoSource},
    {"ephemeral", NoSource},
    {"fc", NoSource},
    {"flexVolume", NoSource},
    {"flocker", NoSource},
    {"gcePersistentDisk", NoSource},
    {"gitRepo", NoSource},
    {"glusterfs", NoSource},
    {"iscsi", NoSource},
    {"nfs", NoSource},
    {"photonPersistentDisk", NoSource},
    {"portworxVolume", NoSource},
    {"quobyte", NoSource},
    {"rbd", NoSource},
    {"scaleIO", NoSource},
    {"storageos", NoSource},
    {"vsphereVolume", NoSource},
};

constexpr Field<PodVolume> kClaimSourceFields[] = {
    {"claimName", Put<&PodVolume::claim, ReadDnsSubdomain>},
    {"readOnly", Put<&PodVolume::readonly, ReadYamlBool>},
};

Result<> ReadClaimSource(const Node& node, const PodContext& pod, PodVolume& out) {
  out.kind = PodVolume::Kind::kClaim;
  RETURN_IF_ERROR(ReadObject(node, kClaimSourceFields, out));
  RETURN_IF_ERROR(Require(node, "claimName", !out.claim.empty()));
  out.claim_declared = pod.objects->claims.contains({pod.pod->sandbox.name_space, out.claim});
  return {};
}

Result<PodVolume> ReadVolume(const Node& node, const PodContext& pod) {
  VolumeDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kVolumeFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.volume.name.empty()));
  if (draft.sources != 1) {
    return BadValue(node, "needs one source, such as emptyDir, hostPath, configMap, secret or persistentVolumeClaim");
  }
  if (draft.claim != nullptr) RETURN_IF_ERROR(ReadClaimSource(*draft.claim, pod, draft.volume));
  for (const auto& [source, kind] : {std::pair(draft.config_map, FileSource::kConfigMap),
                                     {draft.secret, FileSource::kSecret},
                                     {draft.downward, FileSource::kDownward},
                                     {draft.projected, FileSource::kProjected}}) {
    if (source != nullptr) RETURN_IF_ERROR(ReadFiles(*source, kind, pod, draft.volume));
  }
  return draft.volume;
}

}  // namespace

Result<std::vector<PodVolume>> ReadVolumes(const Node& node, const PodContext& pod) {
  ASSIGN_OR_RETURN(std::vector<PodVolume> volumes,
                   ReadListWith<PodVolume>(node, [&pod](const Node& n) { return ReadVolume(n, pod); }));
  Problems problems(node);
  std::set<std::string> names;
  for (size_t i = 0; i < volumes.size(); ++i) {
    if (!names.insert(volumes[i].name).second) {
      problems.Add(BadValue(*node.children[i], "the name ", Quoted(volumes[i].name), " is taken"));
    }
  }
  RETURN_IF_ERROR(problems.Done());
  return volumes;
}

}  // namespace fermata::sandbox::pods
