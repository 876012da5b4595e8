// hosts.toml: what is accepted has a last resort, URLs that are read again as they are printed, absolute paths and
// headers that end no other; what is not has an error that names the file.
#include "overlay/registry/hosts.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckHost(const HostEndpoint& host) {
  const auto again = ParseUrl(host.base.ToString());
  Check(again && again->ToString() == host.base.ToString(), "a URL that is read as another: " + host.base.ToString());
  for (const std::string& file : host.ca_files) Check(file.starts_with('/'), "a relative path");
  for (const auto& [name, value] : host.headers) {
    Check((name + value).find_first_of("\r\n") == std::string::npos, "a header that ends");
  }
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const auto hosts = overlay::ParseHosts(fuzz::TextOf(data, size), "/etc/hosts.toml", "reg.example:5000");
  if (!hosts) {
    fuzz::CheckError(hosts.error());
    fuzz::Check(hosts.error().message().find("/etc/hosts.toml:") != std::string::npos, hosts.error().message());
    return 0;
  }
  bool origin = false;
  for (const overlay::HostEndpoint& host : *hosts) {
    overlay::CheckHost(host);
    origin |= host.origin;
  }
  fuzz::Check(origin, "no host is the registry itself");
  return 0;
}
