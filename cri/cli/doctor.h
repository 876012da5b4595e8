// `fermata doctor`: what of the machine the daemon needs, whether it is there, and what to do where it is not. Facts
// are gathered in doctor_facts.cc; the judgement is pure.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cri/cli/commands.h"

namespace fermata::cri::cli {

struct DirectoryFacts {
  std::string path;
  bool exists = false;
  uint32_t mode = 0, uid = 0;
};

struct DoctorFacts {
  bool root = false;
  std::string kernel;  // "6.1.0-9-amd64"
  // Control groups v2; the mount is empty where there is none.
  std::string cgroup_mount;
  std::vector<std::string> controllers;  // that v2 has at its top
  bool cgroup_writable = false;
  // nullopt: cannot be found out without root.
  std::optional<bool> overlay;        // the kernel mounts it
  std::optional<bool> mount_setattr;  // idmapped mounts
  std::string data_filesystem;        // of the data directory or its nearest parent: "ext4"
  uint64_t free_bytes = 0, total_bytes = 0, free_inodes = 0, total_inodes = 0;
  uint64_t user_namespaces = 0;  // how many there may be
  bool seccomp_filter = false;
  bool apparmor = false;
  bool netfilter = false, bridge_loaded = false, ip_forward = false;
  std::string cni_directory;
  size_t cni_configurations = 0;
  std::vector<std::string> cni_bin_dirs;  // that exist
  std::string config_error;               // empty: the configuration is fine
  std::string socket;
  std::optional<uint32_t> socket_mode;  // nullopt: there is none
  std::vector<DirectoryFacts> directories;
  std::string daemon_version, daemon_error;  // of the one that answers; why none does
  std::string client_version;
};

enum class Verdict : uint8_t { kOk, kWarn, kFail };
struct Check {
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string found;   // what is so
  std::string advice;  // what to do; empty when it is fine
};

std::vector<Check> Judge(const DoctorFacts& facts);

// Looks at the machine; starts nothing and changes nothing. `socket` as Connect takes it.
DoctorFacts GatherFacts(const std::string& socket, const std::string& config_file, bool config_named);

void AddDoctorCommand(CLI::App& app, const Global& global, std::function<Result<int>()>& command);

}  // namespace fermata::cri::cli
