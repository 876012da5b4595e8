// The checks of values that end up in /proc/sys, resolv.conf, an environment or a path. What passes is held against a
// second, plainer reading of the rule. The input: two lines, the second is the value of the sysctl.
#include <algorithm>

#include "runtime/launch/identity.h"
#include "sandbox/spec_checks.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::sandbox {
namespace {

using fuzz::Check;

template <typename T>
bool Passes(const Result<T>& result) {
  if (!result) fuzz::CheckError(result.error());
  return result.has_value();
}

bool OnlyOf(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789";

void CheckSysctlPair(std::string_view name, std::string_view value) {
  const NamespaceOptions own{};
  if (!Passes(CheckSysctl(name, value, own))) return;
  std::string path(name);
  std::replace(path.begin(), path.end(), '.', '/');
  Check(OnlyOf(path, std::string(kLower) + "_-/") && path.find("//") == std::string::npos, "a sysctl " + path);
  const bool network = path.starts_with("net/");
  const bool ipc = path.starts_with("kernel/shm") || path.starts_with("kernel/msg") || path == "kernel/sem" ||
                   path.starts_with("fs/mqueue/");
  Check((network || ipc) && !path.ends_with('/'), "a sysctl of the whole machine: " + path);
  Check(value.size() <= 4096 && std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; }),
        "a value that is not printable");
  NamespaceOptions of_host{};
  (network ? of_host.network : of_host.ipc) = NamespaceMode::kNode;
  Check(!CheckSysctl(name, value, of_host), "a sysctl of the host's namespace: " + path);
}

void CheckPaths(std::string_view text) {
  const bool absolute = Passes(CheckAbsolutePath(text));
  const bool relative = Passes(CheckRelativePath(text));
  Check(!absolute || !relative, "absolute and relative");
  if (!absolute && !relative) return;
  const std::string framed = "/" + std::string(text) + "/";
  Check(framed.find("/../") == std::string::npos && framed.find('\0') == std::string::npos && text.size() < 4096,
        "a path that climbs");
  Check(absolute == text.starts_with('/'), "absolute or not");
}

void CheckNames(std::string_view text) {
  if (Passes(CheckHostname(text))) {
    Check(text.size() <= 63 && OnlyOf(text, std::string(kLower) + ".-"), "a host name that is none");
  }
  if (Passes(CheckEnvName(text))) Check(OnlyOf("=", text) || text.find('=') == std::string_view::npos, "a variable");
  const auto capability = CapabilityName(text);
  if (Passes(capability) && *capability != "ALL") {
    Check(Passes(runtime::CapabilityMask({*capability})), "an unknown capability " + *capability);
    Check(*CapabilityName(*capability) == *capability, "another name of " + *capability);
  }
  const std::string quoted = Quoted(text);
  Check(quoted.size() <= 85 && quoted.find('\n') == std::string::npos, "quoted");
}

// Nothing that passes can add a line or a word to resolv.conf.
void CheckResolver(std::string_view text) {
  const std::string word(text);
  const DnsConfig configs[] = {{{word}, {}, {}}, {{}, {word, word}, {}}, {{}, {}, {word}}};
  for (const DnsConfig& config : configs) {
    if (Passes(CheckDns(config))) Check(word.find_first_of(" \t\r\n#;") == std::string::npos, "more than a word");
  }
  std::string_view rest = text;
  DnsConfig many;
  while (!rest.empty()) many.searches.emplace_back(fuzz::TakeUntil(rest, ","));
  if (Passes(CheckDns(many))) Check(many.searches.size() <= 32 && text.size() <= 2049, "longer than the limit");
}

}  // namespace
}  // namespace fermata::sandbox

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  std::string_view value = fuzz::TextOf(data, size);
  const std::string_view name = fuzz::TakeUntil(value, "\n");
  sandbox::CheckSysctlPair(name, value);
  sandbox::CheckPaths(fuzz::TextOf(data, size));
  sandbox::CheckNames(name);
  sandbox::CheckResolver(name);
  fuzz::Bytes numbers(data, size);
  const auto id = numbers.Take<int64_t>();
  fuzz::Check(sandbox::CheckId(id).has_value() == (id >= 0 && id < int64_t{UINT32_MAX}), "an id out of range");
  return 0;
}
