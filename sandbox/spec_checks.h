// The checks that every sandbox and container request has to pass, whether it came by the CRI or from a manifest:
// what ends up in resolv.conf, /etc/hosts, /proc/sys, an environment or a path. Pure, stateless, any thread.
//
// Errors are kInvalidArgument and say what is wrong with the value; the caller puts the name of the field in
// front, which each of the two callers spells in its own way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// argv and environment together, as execve takes them at most under the default stack limit.
inline constexpr uint64_t kMaxArgumentBytes = uint64_t{2} << 20;
inline constexpr int64_t kMaxUserId = 4294967294;  // 2^32-1 is the kernel's "leave as it is"

// For messages: foreign text in quotes, cut at 80 bytes, control bytes as '?'.
std::string Quoted(std::string_view text);

// At most 63 of [a-z0-9.-], with a letter or digit at both ends. Empty is the caller's business.
Result<> CheckHostname(std::string_view name);
bool IsIpAddress(std::string_view text);
// Servers (an IPv6 one may have a zone), searches, options: at most 32 of each, searches at most 2,048 bytes.
Result<> CheckDns(const DnsConfig& dns);
// Only namespaced settings, and only where the sandbox has that namespace for itself.
Result<> CheckSysctl(std::string_view name, std::string_view value, const NamespaceOptions& namespaces);
// Absolute, below PATH_MAX, and no "..": what a path means must not depend on a link in its middle.
Result<> CheckAbsolutePath(std::string_view path);
// The same for a path below a directory that the caller chose. "." alone names no file.
Result<> CheckRelativePath(std::string_view path);
Result<> CheckEnvName(std::string_view name);
// 0..kMaxUserId
Result<> CheckId(int64_t id);
// "net_admin", "NET_ADMIN" and "CAP_NET_ADMIN" are "CAP_NET_ADMIN"; "all" is "ALL".
Result<std::string> CapabilityName(std::string_view text);

}  // namespace fermata::sandbox
