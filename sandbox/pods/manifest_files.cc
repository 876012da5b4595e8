// Volumes of files that the manifest holds: configMap, secret, downwardAPI, projected.
#include <algorithm>
#include <charconv>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr uint32_t kMaxMode = 0777;

// "0400" is octal, as in YAML 1.1; so is "0o400". JSON has the number in decimal.
Result<std::optional<uint32_t>> ReadMode(const Node& node) {
  if (TypeName(node) != "a number") return BadValue(node, "must be a number, not ", TypeName(node));
  std::string_view text = node.scalar;
  const int base = text.starts_with('0') ? 8 : 10;
  if (text.starts_with("0o")) text.remove_prefix(2);
  uint32_t mode = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), mode, base);
  if (code == std::errc{} && end == text.data() + text.size() && mode <= kMaxMode) return std::optional(mode);
  return BadValue(node, Quoted(node.scalar), " is no mode in 0..0777");
}

Result<std::string> ReadFilePath(const Node& node) {
  ASSIGN_OR_RETURN(std::string path, ReadString(node));
  if (auto checked = CheckRelativePath(path); !checked) return AtNode(node, checked.error());
  if (path.starts_with("..")) return BadValue(node, "must not begin with \"..\"");
  return path;
}

struct ItemDraft {
  std::string key, path;
  std::optional<uint32_t> mode;
  const Node* field = nullptr;
  const Node* resource = nullptr;
};
constexpr Field<ItemDraft> kKeyItemFields[] = {
    {"key", Put<&ItemDraft::key, ReadConfigKey>},
    {"path", Put<&ItemDraft::path, ReadFilePath>},
    {"mode", Put<&ItemDraft::mode, ReadMode>},
};
constexpr Field<ItemDraft> kDownwardItemFields[] = {
    {"path", Put<&ItemDraft::path, ReadFilePath>},
    {"mode", Put<&ItemDraft::mode, ReadMode>},
    {"fieldRef", Keep<&ItemDraft::field>},
    {"resourceFieldRef", Keep<&ItemDraft::resource>},
};

struct FilesDraft {
  ObjectRef ref;
  std::optional<uint32_t> mode;
  const Node* items = nullptr;
};
Result<> ReadRefName(const Node& node, FilesDraft& out) {
  ASSIGN_OR_RETURN(out.ref.name, ReadDnsSubdomain(node));
  return {};
}
Result<> ReadOptional(const Node& node, FilesDraft& out) {
  ASSIGN_OR_RETURN(out.ref.optional, ReadYamlBool(node));
  return {};
}

// A secret volume has a name of its own for the name; a source of a projected one has no mode.
constexpr Field<FilesDraft> kConfigMapFields[] = {
    {"name", ReadRefName},
    {"optional", ReadOptional},
    {"items", Keep<&FilesDraft::items>},
    {"defaultMode", Put<&FilesDraft::mode, ReadMode>},
};
constexpr Field<FilesDraft> kSecretFields[] = {
    {"secretName", ReadRefName},
    {"optional", ReadOptional},
    {"items", Keep<&FilesDraft::items>},
    {"defaultMode", Put<&FilesDraft::mode, ReadMode>},
};
constexpr Field<FilesDraft> kDownwardFields[] = {
    {"items", Keep<&FilesDraft::items>},
    {"defaultMode", Put<&FilesDraft::mode, ReadMode>},
};
constexpr Field<FilesDraft> kProjectedObjectFields[] = {
    {"name", ReadRefName},
    {"optional", ReadOptional},
    {"items", Keep<&FilesDraft::items>},
};
constexpr Field<FilesDraft> kProjectedDownwardFields[] = {{"items", Keep<&FilesDraft::items>}};

Result<VolumeFile> ReadKeyItem(const Node& node, const ConfigObject* object, const ObjectRef& ref) {
  ItemDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kKeyItemFields, draft));
  RETURN_IF_ERROR(Require(node, "key", !draft.key.empty()));
  RETURN_IF_ERROR(Require(node, "path", !draft.path.empty()));
  VolumeFile file{draft.path, {}, draft.mode};
  const bool there = object != nullptr && object->data.contains(draft.key);
  if (there) file.value.text = object->data.at(draft.key);
  if (there || ref.optional) return file;
  return BadValue(*node.Find("key"), Quoted(ref.name), " has no key ", Quoted(draft.key));
}

Result<> AddObject(const Node& node, ConfigKind kind, const FilesDraft& draft, const PodContext& pod, PodVolume& out) {
  ASSIGN_OR_RETURN(const ConfigObject* const object, FindObject(node, pod, kind, draft.ref));
  if (draft.items == nullptr) {
    if (object == nullptr) return {};
    for (const auto& [key, value] : object->data) {
      out.files.push_back({key, {}, std::nullopt});
      out.files.back().value.text = value;
    }
    return {};
  }
  ASSIGN_OR_RETURN(const std::vector<VolumeFile> files, ReadListWith<VolumeFile>(*draft.items, [&](const Node& n) {
                     return ReadKeyItem(n, object, draft.ref);
                   }));
  for (size_t i = 0; i < files.size(); ++i) {  // of an optional key that is missing there is no file
    const Node* const key = draft.items->children[i]->Find("key");
    if (object != nullptr && object->data.contains(key->scalar)) out.files.push_back(files[i]);
  }
  return {};
}

Result<VolumeFile> ReadDownwardItem(const Node& node, const PodContext& pod) {
  ItemDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kDownwardItemFields, draft));
  RETURN_IF_ERROR(Require(node, "path", !draft.path.empty()));
  if ((draft.field == nullptr) == (draft.resource == nullptr)) {
    return BadValue(node, "needs one of fieldRef and resourceFieldRef");
  }
  VolumeFile file{draft.path, {}, draft.mode};
  ASSIGN_OR_RETURN(file.value, draft.field != nullptr ? ReadFieldRef(*draft.field, RefUse::kVolume)
                                                      : ReadResourceRef(*draft.resource, pod, ""));
  return file;
}

Result<> AddDownward(const FilesDraft& draft, const PodContext& pod, PodVolume& out) {
  if (draft.items == nullptr) return {};
  ASSIGN_OR_RETURN(std::vector<VolumeFile> files,
                   ReadListWith<VolumeFile>(*draft.items, [&pod](const Node& n) { return ReadDownwardItem(n, pod); }));
  out.files.insert(out.files.end(), files.begin(), files.end());
  return {};
}

struct ProjectionDraft {
  const Node* config_map = nullptr;
  const Node* secret = nullptr;
  const Node* downward = nullptr;
  int sources = 0;
};
template <auto Member>
Result<> KeepProjection(const Node& node, ProjectionDraft& out) {
  ++out.sources;
  out.*Member = &node;
  return {};
}
Result<> NoToken(const Node& node, ProjectionDraft& out) {
  ++out.sources;
  return PlaceError(node, node.key_line, ErrorCode::kUnimplemented,
                    "there is no API server that would issue a token, or take one");
}
Result<> NoProjection(const Node& node, ProjectionDraft& out) {
  ++out.sources;
  return NotSupportedYet(node);
}
constexpr Field<ProjectionDraft> kProjectionFields[] = {
    {"configMap", KeepProjection<&ProjectionDraft::config_map>},
    {"secret", KeepProjection<&ProjectionDraft::secret>},
    {"downwardAPI", KeepProjection<&ProjectionDraft::downward>},
    {"serviceAccountToken", NoToken},
    {"clusterTrustBundle", NoProjection},
    {"podCertificate", NoProjection},
};

Result<> AddProjection(const Node& node, const PodContext& pod, PodVolume& out) {
  ProjectionDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kProjectionFields, draft));
  if (draft.sources != 1) return BadValue(node, "needs one of configMap, secret and downwardAPI");
  FilesDraft files;
  if (draft.downward != nullptr) {
    RETURN_IF_ERROR(ReadObject(*draft.downward, kProjectedDownwardFields, files));
    return AddDownward(files, pod, out);
  }
  const bool secret = draft.secret != nullptr;
  const Node& place = secret ? *draft.secret : *draft.config_map;
  RETURN_IF_ERROR(ReadObject(place, kProjectedObjectFields, files));
  RETURN_IF_ERROR(Require(place, "name", !files.ref.name.empty()));
  return AddObject(place, secret ? ConfigKind::kSecret : ConfigKind::kConfigMap, files, pod, out);
}

struct ProjectedDraft {
  const Node* sources = nullptr;
  std::optional<uint32_t> mode;
};
constexpr Field<ProjectedDraft> kProjectedFields[] = {
    {"sources", Keep<&ProjectedDraft::sources>},
    {"defaultMode", Put<&ProjectedDraft::mode, ReadMode>},
};

Result<> ReadProjected(const Node& node, const PodContext& pod, PodVolume& out) {
  ProjectedDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kProjectedFields, draft));
  out.default_mode = draft.mode.value_or(out.default_mode);
  if (draft.sources == nullptr) return {};
  RETURN_IF_ERROR(ExpectList(*draft.sources));
  Problems problems(node);
  for (const auto& child : draft.sources->children) problems.Add(AddProjection(*child, pod, out));
  return problems.Done();
}

// No two files at one path, and none where another one needs a directory.
Result<> CheckPaths(const Node& node, const PodVolume& volume) {
  std::set<std::string> paths;
  for (const VolumeFile& file : volume.files) {
    if (!paths.insert(file.path).second) return BadValue(node, "two files at ", Quoted(file.path));
  }
  for (const std::string& path : paths) {
    const auto inside = paths.lower_bound(path + "/");
    if (inside != paths.end() && inside->starts_with(path + "/")) {
      return BadValue(node, Quoted(path), " is a file and the directory of ", Quoted(*inside));
    }
  }
  return {};
}

}  // namespace

Result<> ReadFiles(const Node& node, FileSource source, const PodContext& pod, PodVolume& out) {
  out.kind = PodVolume::Kind::kFiles;
  if (source == FileSource::kProjected) {
    RETURN_IF_ERROR(ReadProjected(node, pod, out));
    return CheckPaths(node, out);
  }
  FilesDraft draft;
  const bool secret = source == FileSource::kSecret;
  RETURN_IF_ERROR(source == FileSource::kDownward ? ReadObject(node, kDownwardFields, draft)
                  : secret                        ? ReadObject(node, kSecretFields, draft)
                                                  : ReadObject(node, kConfigMapFields, draft));
  out.default_mode = draft.mode.value_or(out.default_mode);
  if (source == FileSource::kDownward) {
    RETURN_IF_ERROR(AddDownward(draft, pod, out));
  } else {
    RETURN_IF_ERROR(Require(node, secret ? "secretName" : "name", !draft.ref.name.empty()));
    RETURN_IF_ERROR(AddObject(node, secret ? ConfigKind::kSecret : ConfigKind::kConfigMap, draft, pod, out));
  }
  return CheckPaths(node, out);
}

}  // namespace fermata::sandbox::pods
