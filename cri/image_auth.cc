#include "cri/image_auth.h"

#include "overlay/image/reference.h"
#include "overlay/registry/base64.h"

namespace fermata::cri {
namespace {

// "https://index.docker.io/v1/" and "registry.example.com:5000/path" as hosts.
std::string HostOf(std::string_view address) {
  if (const size_t scheme = address.find("://"); scheme != std::string_view::npos) address.remove_prefix(scheme + 3);
  std::string host(address.substr(0, address.find('/')));
  const bool is_hub = host == "index.docker.io" || host == "registry-1.docker.io";
  return is_hub ? "docker.io" : host;
}

}  // namespace

Result<std::optional<overlay::Credentials>> CredentialsOf(const ::runtime::v1::AuthConfig& auth,
                                                          const std::string& image) {
  std::optional<overlay::Credentials> none;
  ASSIGN_OR_RETURN(const overlay::Reference reference, overlay::ParseReference(image));
  if (!auth.server_address().empty() && HostOf(auth.server_address()) != reference.domain) return none;
  overlay::Credentials credentials;
  credentials.username = auth.username();
  credentials.password = auth.password();
  credentials.identity_token = auth.identity_token();
  credentials.registry_token = auth.registry_token();
  if (credentials.empty() && !auth.auth().empty()) {
    const auto decoded = overlay::DecodeBase64(auth.auth());
    const size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return Error::Make(ErrorCode::kInvalidArgument, "auth.auth: not user:password in base64");
    }
    credentials.username = decoded->substr(0, colon);
    // Some tools pad it with zero bytes.
    credentials.password = decoded->substr(colon + 1, decoded->find_last_not_of('\0') - colon);
  }
  if (credentials.empty()) return none;
  return std::optional(std::move(credentials));
}

}  // namespace fermata::cri
