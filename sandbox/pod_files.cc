#include "sandbox/pod_files.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include "runtime/base/file.h"

namespace fermata::sandbox {
namespace {

constexpr const char* kLocalNames =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n";

std::string Joined(std::string_view keyword, const std::vector<std::string>& words) {
  if (words.empty()) return {};
  std::string line(keyword);
  for (const std::string& word : words) line += " " + word;
  return line + "\n";
}

}  // namespace

std::string HostnameOf(const SandboxSpec& spec) {
  if (spec.namespaces.network == NamespaceMode::kNode) {
    utsname host{};
    return ::uname(&host) == 0 ? host.nodename : "";
  }
  return spec.hostname;
}

std::string HostsText(const SandboxRecord& sandbox) {
  std::string text = kLocalNames;
  std::string names = HostnameOf(sandbox.spec);
  if (const std::string& fqdn = sandbox.spec.fqdn; !fqdn.empty() && fqdn != names) names = fqdn + "\t" + names;
  for (const std::string& ip : sandbox.ips) {
    if (!names.empty()) text += ip + "\t" + names + "\n";
  }
  // Without an address of its own the pod still finds its name.
  if (sandbox.ips.empty() && !names.empty()) text += "127.0.0.1\t" + names + "\n";
  for (const auto& [ip, names] : sandbox.spec.host_aliases) text += Joined(ip, names);
  return text;
}

std::string ResolvText(const DnsConfig& dns) {
  std::string text = Joined("search", dns.searches);
  for (const std::string& server : dns.servers) text += "nameserver " + server + "\n";
  return text + Joined("options", dns.options);
}

Result<> WritePodFiles(int directory, const SandboxRecord& sandbox) {
  std::string resolv = ResolvText(sandbox.spec.dns);
  if (resolv.empty()) {
    auto hosts_own = ReadFileAt(AT_FDCWD, "/etc/resolv.conf");
    if (hosts_own) resolv = std::move(*hosts_own);
  }
  std::string hosts;
  if (sandbox.spec.namespaces.network == NamespaceMode::kNode && sandbox.spec.host_aliases.empty()) {
    if (auto hosts_own = ReadFileAt(AT_FDCWD, "/etc/hosts")) hosts = std::move(*hosts_own);
  }
  if (hosts.empty()) hosts = HostsText(sandbox);
  RETURN_IF_ERROR(WriteFileAtomic(directory, "hosts", hosts));
  RETURN_IF_ERROR(WriteFileAtomic(directory, "hostname", HostnameOf(sandbox.spec) + "\n"));
  return WriteFileAtomic(directory, "resolv.conf", resolv);
}

}  // namespace fermata::sandbox
