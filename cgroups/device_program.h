// The eBPF program of a list of device rules. Pure: what it generates is checked by an interpreter in the tests
// and loaded by devices.cc. Any thread.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cgroups {

enum class DeviceType : uint8_t { kAll, kBlock, kChar };  // "a", "b", "c" of OCI

// Bits of DeviceRule::access; the kernel's BPF_DEVCG_ACC_*.
inline constexpr uint8_t kDeviceMknod = BPF_DEVCG_ACC_MKNOD;
inline constexpr uint8_t kDeviceRead = BPF_DEVCG_ACC_READ;
inline constexpr uint8_t kDeviceWrite = BPF_DEVCG_ACC_WRITE;
inline constexpr uint8_t kDeviceAll = kDeviceMknod | kDeviceRead | kDeviceWrite;

struct DeviceRule {
  DeviceType type = DeviceType::kAll;
  int64_t major = -1;  // -1: any
  int64_t minor = -1;
  uint8_t access = kDeviceAll;
  bool allow = false;
  bool operator==(const DeviceRule&) const = default;
};

// "rwm" in any order, each once. kInvalidArgument for anything else, "" too.
Result<uint8_t> ParseDeviceAccess(std::string_view text);

// OCI semantics: for every single kind of access the last rule that matches decides, and none means no. An
// access is granted when all its kinds are. kInvalidArgument for numbers that are no device numbers and for
// more than 1024 rules.
Result<std::vector<bpf_insn>> CompileDeviceRules(std::span<const DeviceRule> rules);

}  // namespace fermata::cgroups
