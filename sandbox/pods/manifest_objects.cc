// ConfigMap, Secret and PersistentVolumeClaim documents. Values of secrets stand in no error.
#include <algorithm>

#include "overlay/registry/base64.h"
#include "runtime/base/json.h"
#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;  // of all values, as the API server

constexpr Field<Metadata> kMetadataFields[] = {
    {"name", Put<&Metadata::name, ReadDnsSubdomain>},
    {"namespace", Put<&Metadata::name_space, ReadDnsLabel>},
    {"labels", Put<&Metadata::labels, ReadLabels>},
    {"annotations", Put<&Metadata::annotations, ReadAnnotations>},
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

struct ConfigDraft {
  const Node* metadata = nullptr;
  const Node* data = nullptr;
  const Node* binary = nullptr;  // of a Secret: stringData
  std::string type = "Opaque";
};

Result<> AnyBool(const Node& node) {
  ASSIGN_OR_RETURN([[maybe_unused]] const bool value, ReadYamlBool(node));
  return {};
}

// apiVersion and kind were looked at before. Nothing changes after it was applied, immutable or not.
constexpr Field<ConfigDraft> kConfigMapFields[] = {
    {"apiVersion", Only<ReadNothing>},          {"kind", Only<ReadNothing>},
    {"metadata", Keep<&ConfigDraft::metadata>}, {"data", Keep<&ConfigDraft::data>},
    {"binaryData", Keep<&ConfigDraft::binary>}, {"immutable", Only<AnyBool>},
};
constexpr Field<ConfigDraft> kSecretFields[] = {
    {"apiVersion", Only<ReadNothing>},
    {"kind", Only<ReadNothing>},
    {"metadata", Keep<&ConfigDraft::metadata>},
    {"data", Keep<&ConfigDraft::data>},
    {"stringData", Keep<&ConfigDraft::binary>},
    {"type", Put<&ConfigDraft::type, ReadString>},
    {"immutable", Only<AnyBool>},
};

Result<> AddValue(const Node& node, bool base64, std::map<std::string, std::string>& out) {
  if (!IsConfigKey(node.key)) return BadValue(node, "a key has 1 to 253 of a-z, A-Z, 0-9, '-', '_' and '.'");
  auto text = node.kind == Node::Kind::kNull ? Result<std::string>("") : ReadString(node);
  // Unquoted digits may well be base64; for the server they are a number, which is an error too.
  RETURN_IF_ERROR(text);
  if (base64) {
    std::string plain = *text;
    std::erase_if(plain, [](char c) { return c == '\n' || c == '\r'; });
    text = overlay::DecodeBase64(plain);
    if (!text) return BadValue(node, "is no base64");
  }
  out[node.key] = *std::move(text);
  return {};
}

struct Values {
  const Node* node;
  bool base64;
};
Result<> AddValues(const Values& values, std::map<std::string, std::string>& out) {
  if (values.node == nullptr) return {};
  RETURN_IF_ERROR(ExpectMap(*values.node));
  Problems problems(*values.node);
  for (const auto& child : values.node->children) problems.Add(AddValue(*child, values.base64, out));
  return problems.Done();
}

struct SecretType {
  std::string_view type;
  std::vector<std::string_view> keys;  // that it has to have
};

Result<> CheckSecretType(const Node& document, const ConfigObject& secret) {
  static const SecretType kTypes[] = {
      {"kubernetes.io/dockerconfigjson", {".dockerconfigjson"}},
      {"kubernetes.io/dockercfg", {".dockercfg"}},
      {"kubernetes.io/tls", {"tls.crt", "tls.key"}},
      {"kubernetes.io/ssh-auth", {"ssh-privatekey"}},
  };
  const bool basic = secret.type == "kubernetes.io/basic-auth";
  if (basic && !secret.data.contains("username") && !secret.data.contains("password")) {
    return BadValue(document, "a Secret of type ", secret.type, " needs the key username or password");
  }
  if (secret.type == "kubernetes.io/service-account-token") {
    return BadValue(*document.Find("type"), "there are no service accounts without a cluster");
  }
  for (const SecretType& known : kTypes) {
    if (known.type != secret.type) continue;
    for (const std::string_view key : known.keys) {
      const auto found = secret.data.find(std::string(key));
      if (found == secret.data.end()) {
        return BadValue(document, "a Secret of type ", secret.type, " needs the key ", key);
      }
      if (key.starts_with(".docker") && !ParseJson(found->second, key)) {
        return BadValue(document, "the value of ", key, " is no JSON");
      }
    }
  }
  return {};
}

struct ClaimDraft {
  const Node* metadata = nullptr;
  const Node* spec = nullptr;
};
constexpr Field<ClaimDraft> kClaimFields[] = {
    {"apiVersion", Only<ReadNothing>}, {"kind", Only<ReadNothing>}, {"metadata", Keep<&ClaimDraft::metadata>},
    {"spec", Keep<&ClaimDraft::spec>}, {"status", Only<ExpectMap>},
};

struct ClaimSpec {
  std::vector<std::string> modes;
  const Node* storage = nullptr;
};
Result<std::string> ReadAccessMode(const Node& node) {
  ASSIGN_OR_RETURN(std::string mode, ReadString(node));
  for (const char* known : {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"}) {
    if (mode == known) return mode;
  }
  return BadValue(node, Quoted(mode), " is no access mode such as ReadWriteOnce");
}
Result<std::vector<std::string>> ReadAccessModes(const Node& node) {
  return ReadList<std::string>(node, ReadAccessMode);
}
Result<> OnlyFilesystem(const Node& node) { return OnlyText(node, "Filesystem"); }
constexpr Field<ClaimSpec> kStorageFields[] = {{"storage", Keep<&ClaimSpec::storage>}};
// The size is what the volume is meant for; nothing holds it to that, as with Kubernetes' local volumes.
constexpr Field<ClaimSpec> kClaimResourceFields[] = {
    {"requests", [](const Node& node, ClaimSpec& out) { return ReadObject(node, kStorageFields, out); }},
    {"limits", nullptr},
};
constexpr Field<ClaimSpec> kClaimSpecFields[] = {
    {"accessModes", Put<&ClaimSpec::modes, ReadAccessModes>},
    {"resources", [](const Node& node, ClaimSpec& out) { return ReadObject(node, kClaimResourceFields, out); }},
    {"volumeMode", Only<OnlyFilesystem>},
    {"storageClassName", nullptr},
    {"volumeName", nullptr},
    {"selector", nullptr},
    {"dataSource", nullptr},
    {"dataSourceRef", nullptr},
    {"volumeAttributesClassName", nullptr},
};

}  // namespace

Result<> CheckClaimSpec(const Node& node) {
  ClaimSpec spec;
  RETURN_IF_ERROR(ReadObject(node, kClaimSpecFields, spec));
  RETURN_IF_ERROR(Require(node, "accessModes", !spec.modes.empty()));
  RETURN_IF_ERROR(Require(node, "resources.requests.storage", spec.storage != nullptr));
  if (spec.modes.size() > 1 && std::ranges::find(spec.modes, "ReadWriteOncePod") != spec.modes.end()) {
    return BadValue(*node.Find("accessModes"), "ReadWriteOncePod stands alone");
  }
  const auto bytes = ParseQuantity(spec.storage->scalar, 0);
  if (!bytes) return AtNode(*spec.storage, bytes.error());
  return *bytes > 0 ? Result<>() : BadValue(*spec.storage, "must be more than 0");
}

Result<Metadata> ReadMetadata(const Node& node) {
  Metadata out;
  RETURN_IF_ERROR(ReadObject(node, kMetadataFields, out));
  return out;
}
Result<Metadata> ReadNamedMetadata(const Node& node) {
  ASSIGN_OR_RETURN(Metadata out, ReadMetadata(node));
  RETURN_IF_ERROR(Require(node, "name", !out.name.empty()));
  return out;
}

Result<> ReadConfigDocument(const Node& document, ConfigKind kind, Objects& out) {
  const bool secret = kind == ConfigKind::kSecret;
  ConfigDraft draft;
  Problems problems(document);
  problems.Add(secret ? ReadObject(document, kSecretFields, draft) : ReadObject(document, kConfigMapFields, draft));
  RETURN_IF_ERROR(Require(document, "metadata", draft.metadata != nullptr));
  ConfigObject object{secret ? draft.type : "", {}};
  // stringData wins over data, whose keys those of binaryData must not be.
  problems.Add(AddValues({draft.data, secret}, object.data));
  if (!secret && draft.binary != nullptr) {
    for (const auto& child : draft.binary->children) {
      if (object.data.contains(child->key)) problems.Add(BadValue(*child, "is in data too"));
    }
  }
  problems.Add(AddValues({draft.binary, !secret}, object.data));
  size_t bytes = 0;
  for (const auto& [key, value] : object.data) bytes += key.size() + value.size();
  if (bytes > kMaxBytes) problems.Add(BadValue(document, "larger than 1 MiB"));
  const Result<Metadata> metadata = ReadNamedMetadata(*draft.metadata);
  if (!metadata) problems.Add(metadata.error());
  RETURN_IF_ERROR(problems.Done());
  if (secret) RETURN_IF_ERROR(CheckSecretType(document, object));
  auto& objects = secret ? out.secrets : out.config_maps;
  if (objects.emplace(Objects::Name(metadata->name_space, metadata->name), std::move(object)).second) return {};
  return BadValue(document, "the ", secret ? "Secret " : "ConfigMap ", metadata->name_space, "/", metadata->name,
                  " is given twice");
}

Result<> ReadClaimDocument(const Node& document, Objects& out) {
  ClaimDraft draft;
  RETURN_IF_ERROR(ReadObject(document, kClaimFields, draft));
  RETURN_IF_ERROR(Require(document, "metadata", draft.metadata != nullptr));
  RETURN_IF_ERROR(Require(document, "spec", draft.spec != nullptr));
  Problems problems(document);
  const Result<Metadata> metadata = ReadNamedMetadata(*draft.metadata);
  if (!metadata) problems.Add(metadata.error());
  problems.Add(CheckClaimSpec(*draft.spec));
  RETURN_IF_ERROR(problems.Done());
  if (out.claims.emplace(metadata->name_space, metadata->name).second) return {};
  return BadValue(document, "the PersistentVolumeClaim ", metadata->name_space, "/", metadata->name, " is given twice");
}

}  // namespace fermata::sandbox::pods
