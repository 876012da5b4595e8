// What the files of convert share; not for others. Pure, any thread.
#pragma once

#include <google/protobuf/map.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <map>
#include <string>
#include <vector>

#include "cri/convert.h"
#include "runtime/launch/namespaces.h"

namespace fermata::cri::convert {

template <typename... Parts>
Error Invalid(const Parts&... parts) {
  return Error::Make(ErrorCode::kInvalidArgument, parts...);
}
template <typename... Parts>
Error NotYet(const Parts&... parts) {
  return Error::Make(ErrorCode::kUnimplemented, parts...);
}

std::string Indexed(std::string_view field, int index);

// No NUL byte in any string, at any depth: all of them end in C strings somewhere, where it would cut them.
Result<> CheckStrings(const google::protobuf::Message& message);

template <typename List>
std::vector<typename List::value_type> ToVector(const List& list) {
  return {list.begin(), list.end()};
}
inline std::map<std::string, std::string> ToMap(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

// User namespaces do not exist here yet: nothing but "none" passes.
// Empty mappings: the host's user namespace.
struct UserNamespace {
  runtime::IdMappings uids, gids;
};
Result<UserNamespace> ReadUserNamespace(const v1::UserNamespace& options);
runtime::IdMappings ReadIdMappings(const google::protobuf::RepeatedPtrField<v1::IDMapping>& mappings);
// Labels of a mandatory access control that is not there must not be accepted as if it protected.
Result<> CheckSelinux(const v1::SELinuxOption& options);
Result<> CheckApparmor(const v1::SecurityProfile* profile, const std::string& deprecated);

struct SeccompChoice {
  sandbox::SeccompMode mode = sandbox::SeccompMode::kUnconfined;
  std::string profile;  // kLocalhost: absolute path
};
// `profile` null: the deprecated path decides, and an empty one is unconfined.
Result<SeccompChoice> ReadSeccomp(const v1::SecurityProfile* profile, const std::string& deprecated);

Result<std::vector<int64_t>> ReadGroups(const google::protobuf::RepeatedField<int64_t>& groups);
Result<bool> IsStrict(v1::SupplementalGroupsPolicy policy);

// The security context of a container; fields of LinuxContainerConfig.
Result<sandbox::SecurityContext> ReadSecurity(const v1::LinuxContainerSecurityContext& context,
                                              const sandbox::SandboxSpec& sandbox);

}  // namespace fermata::cri::convert
