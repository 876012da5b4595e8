// The files that all containers of a pod see: /etc/hosts, /etc/hostname, /etc/resolv.conf.
// The texts are pure; WritePodFiles puts them into the sandbox's run directory, which goes with the sandbox.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// What the pod's processes see as their host name.
std::string HostnameOf(const SandboxSpec& spec);

std::string HostsText(const SandboxRecord& sandbox);
// From the pod's DNS settings; empty when it has none (then the host's file is copied).
std::string ResolvText(const DnsConfig& dns);

// `directory`: the sandbox's. Atomic for each file.
Result<> WritePodFiles(int directory, const SandboxRecord& sandbox);

}  // namespace fermata::sandbox
