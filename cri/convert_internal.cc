#include "cri/convert_internal.h"

#include <google/protobuf/message.h>

#include "sandbox/spec_checks.h"

namespace fermata::cri::convert {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Join(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

Result<> CheckMessage(const Message& message, const std::string& path);

Result<> CheckText(const std::string& text, const std::string& path) {
  if (text.find('\0') == std::string::npos) return {};
  return Invalid(path, ": NUL byte in a string");
}

Result<> CheckField(const Message& message, const FieldDescriptor& field, const std::string& path) {
  const Reflection& reflection = *message.GetReflection();
  const bool text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  std::string scratch;
  if (!field.is_repeated()) {
    if (text) return CheckText(reflection.GetStringReference(message, &field, &scratch), path);
    return CheckMessage(reflection.GetMessage(message, &field), path);
  }
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const std::string item = Indexed(path, i);
    RETURN_IF_ERROR(text ? CheckText(reflection.GetRepeatedStringReference(message, &field, i, &scratch), item)
                         : CheckMessage(reflection.GetRepeatedMessage(message, &field, i), item));
  }
  return {};
}

// Ends, because no message of the CRI contains itself.
Result<> CheckMessage(const Message& message, const std::string& path) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    RETURN_IF_ERROR(CheckField(message, *field, Join(path, field->name())));
  }
  return {};
}

Result<SeccompChoice> Localhost(const std::string& path) {
  RETURN_IF_ERROR(sandbox::CheckAbsolutePath(path), "localhost profile");
  return SeccompChoice{sandbox::SeccompMode::kLocalhost, path};
}

Result<SeccompChoice> ReadDeprecatedSeccomp(const std::string& text) {
  constexpr std::string_view kLocal = "localhost/";
  if (text.empty() || text == "unconfined") return SeccompChoice{};
  if (text == "runtime/default" || text == "docker/default") {
    return SeccompChoice{sandbox::SeccompMode::kRuntimeDefault, ""};
  }
  if (text.starts_with(kLocal)) return Localhost(text.substr(kLocal.size()));
  return Invalid(sandbox::Quoted(text), " is none of runtime/default, unconfined and localhost/<path>");
}

}  // namespace

std::string Indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

Result<> CheckStrings(const Message& message) { return CheckMessage(message, ""); }

runtime::IdMappings ReadIdMappings(const google::protobuf::RepeatedPtrField<v1::IDMapping>& mappings) {
  runtime::IdMappings result;
  for (const v1::IDMapping& mapping : mappings) {
    result.push_back({mapping.container_id(), mapping.host_id(), mapping.length()});
  }
  return result;
}

Result<UserNamespace> ReadUserNamespace(const v1::UserNamespace& options) {
  UserNamespace user{ReadIdMappings(options.uids()), ReadIdMappings(options.gids())};
  const bool mapped = !user.uids.empty() || !user.gids.empty();
  if (options.mode() == v1::NODE && !mapped) return user;
  if (options.mode() != v1::POD) return Invalid("userns_options: the mode must be POD, or NODE without mappings");
  if (mapped) RETURN_IF_ERROR(runtime::CheckMappings({user.uids, user.gids}), "userns_options");
  return user;
}

Result<> CheckSelinux(const v1::SELinuxOption& options) {
  if (options.user().empty() && options.role().empty() && options.type().empty() && options.level().empty()) return {};
  return NotYet("selinux_options: SELinux labels are not supported yet");
}

Result<> CheckApparmor(const v1::SecurityProfile* profile, const std::string& deprecated) {
  constexpr char kText[] = ": AppArmor profiles are not supported yet";
  if (profile != nullptr) {
    if (profile->profile_type() == v1::SecurityProfile::Localhost) return NotYet("apparmor", kText);
    if (v1::SecurityProfile::ProfileType_IsValid(profile->profile_type())) return {};
    return Invalid("apparmor.profile_type: unknown value");
  }
  if (deprecated.empty() || deprecated == "runtime/default" || deprecated == "unconfined") return {};
  if (deprecated.starts_with("localhost/")) return NotYet("apparmor_profile", kText);
  return Invalid("apparmor_profile: ", sandbox::Quoted(deprecated), " is no profile");
}

Result<SeccompChoice> ReadSeccomp(const v1::SecurityProfile* profile, const std::string& deprecated) {
  if (profile == nullptr) {
    ASSIGN_OR_RETURN(SeccompChoice choice, ReadDeprecatedSeccomp(deprecated), "seccomp_profile_path");
    return choice;
  }
  switch (profile->profile_type()) {
    case v1::SecurityProfile::RuntimeDefault:
      return SeccompChoice{sandbox::SeccompMode::kRuntimeDefault, ""};
    case v1::SecurityProfile::Unconfined:
      return SeccompChoice{};
    case v1::SecurityProfile::Localhost: {
      ASSIGN_OR_RETURN(SeccompChoice choice, Localhost(profile->localhost_ref()), "seccomp.localhost_ref");
      return choice;
    }
    default:
      return Invalid("seccomp.profile_type: unknown value");
  }
}

Result<std::vector<int64_t>> ReadGroups(const google::protobuf::RepeatedField<int64_t>& groups) {
  for (int i = 0; i < groups.size(); ++i) {
    RETURN_IF_ERROR(sandbox::CheckId(groups[i]), Indexed("supplemental_groups", i));
  }
  return ToVector(groups);
}

Result<bool> IsStrict(v1::SupplementalGroupsPolicy policy) {
  if (!v1::SupplementalGroupsPolicy_IsValid(policy)) return Invalid("supplemental_groups_policy: unknown value");
  return policy == v1::Strict;
}

}  // namespace fermata::cri::convert
