// spec.volumes.
#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct VolumeDraft {
  PodVolume volume;
  int sources = 0;
};

Result<> OnlyEmpty(const Node& node) { return OnlyText(node, ""); }

Result<std::string> ReadHostPathType(const Node& node) {
  constexpr std::string_view kTypes[] = {"",       "DirectoryOrCreate", "Directory",  "FileOrCreate", "File",
                                         "Socket", "CharDevice",        "BlockDevice"};
  ASSIGN_OR_RETURN(std::string type, ReadString(node));
  if (std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes)) return type;
  return BadValue(node, Quoted(type), " is no type of a host path");
}

constexpr Field<VolumeDraft> kEmptyDirFields[] = {{"medium", Only<OnlyEmpty>}, {"sizeLimit", nullptr}};
constexpr Field<PodVolume> kHostPathFields[] = {
    {"path", Put<&PodVolume::host_path, ReadAbsolutePath>},
    {"type", Put<&PodVolume::host_path_type, ReadHostPathType>},
};

Result<> ReadEmptyDir(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.volume.kind = PodVolume::Kind::kEmptyDir;
  return ReadObject(node, kEmptyDirFields, out);
}

Result<> ReadHostPath(const Node& node, VolumeDraft& out) {
  ++out.sources;
  out.volume.kind = PodVolume::Kind::kHostPath;
  RETURN_IF_ERROR(ReadObject(node, kHostPathFields, out.volume));
  return Require(node, "path", !out.volume.host_path.empty());
}

constexpr Field<VolumeDraft> kVolumeFields[] = {
    {"name",
     [](const Node& node, VolumeDraft& out) -> Result<> {
       ASSIGN_OR_RETURN(out.volume.name, ReadDnsLabel(node));
       return {};
     }},
    {"emptyDir", ReadEmptyDir},
    {"hostPath", ReadHostPath},
    {"awsElasticBlockStore", nullptr},
    {"azureDisk", nullptr},
    {"azureFile", nullptr},
    {"cephfs", nullptr},
    {"cinder", nullptr},
    {"configMap", nullptr},
    {"csi", nullptr},
    {"downwardAPI", nullptr},
    {"ephemeral", nullptr},
    {"fc", nullptr},
    {"flexVolume", nullptr},
    {"flocker", nullptr},
    {"gcePersistentDisk", nullptr},
    {"gitRepo", nullptr},
    {"glusterfs", nullptr},
    {"image", nullptr},
    {"iscsi", nullptr},
    {"nfs", nullptr},
    {"persistentVolumeClaim", nullptr},
    {"photonPersistentDisk", nullptr},
    {"portworxVolume", nullptr},
    {"projected", nullptr},
    {"quobyte", nullptr},
    {"rbd", nullptr},
    {"scaleIO", nullptr},
    {"secret", nullptr},
    {"storageos", nullptr},
    {"vsphereVolume", nullptr},
};

Result<PodVolume> ReadVolume(const Node& node) {
  VolumeDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kVolumeFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.volume.name.empty()));
  if (draft.sources != 1) return BadValue(node, "needs one source, emptyDir or hostPath");
  return draft.volume;
}

}  // namespace

Result<std::vector<PodVolume>> ReadVolumes(const Node& node) {
  ASSIGN_OR_RETURN(std::vector<PodVolume> volumes, ReadList<PodVolume>(node, ReadVolume));
  std::set<std::string> names;
  for (size_t i = 0; i < volumes.size(); ++i) {
    if (!names.insert(volumes[i].name).second) {
      return BadValue(*node.children[i], "the name ", Quoted(volumes[i].name), " is taken");
    }
  }
  return volumes;
}

}  // namespace fermata::sandbox::pods
