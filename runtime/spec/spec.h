// The OCI runtime specification 1.2 (config.json) as plain values, as far as this engine honours it.
// No behaviour: spec_json.h reads and writes the JSON form, runtime/launch turns a Spec into a plan.
// Source: github.com/opencontainers/runtime-spec, config.md and config-linux.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/device_program.h"
#include "cgroups/settings.h"

namespace fermata::runtime {

struct Capabilities {  // names with the prefix CAP_
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
  bool operator==(const Capabilities&) const = default;
};

struct Rlimit {
  std::string type;  // RLIMIT_NOFILE, ...
  uint64_t soft = 0;
  uint64_t hard = 0;
  bool operator==(const Rlimit&) const = default;
};

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
  bool operator==(const User&) const = default;
};

struct Scheduler {
  std::string policy;  // SCHED_OTHER, SCHED_FIFO, ...
  int32_t nice = 0;
  int32_t priority = 0;
  std::vector<std::string> flags;                  // SCHED_FLAG_RESET_ON_FORK, ...
  uint64_t runtime = 0, deadline = 0, period = 0;  // nanoseconds, of SCHED_DEADLINE
  bool operator==(const Scheduler&) const = default;
};

struct IoPriority {
  std::string io_class;  // IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE
  int32_t priority = 0;  // 0 (first) to 7
  bool operator==(const IoPriority&) const = default;
};

struct CpuAffinity {         // lists of CPUs ("0-3,7"); empty: as it is
  std::string initial_cpus;  // while the process enters the container
  std::string final_cpus;    // of the program
  bool operator==(const CpuAffinity&) const = default;
};

struct Personality {
  std::string domain;  // LINUX, LINUX32
  bool operator==(const Personality&) const = default;
};

struct Process {
  bool terminal = false;
  uint16_t console_width = 0, console_height = 0;  // characters; 0: the terminal's default
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;  // NAME=value
  std::string cwd = "/";
  Capabilities capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<CpuAffinity> exec_cpu_affinity;  // of an exec only
  std::string apparmor_profile;                  // empty: as the runtime's own
  std::string selinux_label;
  bool operator==(const Process&) const = default;
};

// `size` ids from `container_id` on are `host_id` and following outside (user_namespaces(7)).
struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
  bool operator==(const IdMapping&) const = default;
};
using IdMappings = std::vector<IdMapping>;

struct Mount {
  std::string destination;  // absolute, in the container
  std::string type;         // bind, proc, sysfs, tmpfs, devpts, mqueue, cgroup
  std::string source;       // bind: path on the host
  std::vector<std::string> options;
  IdMappings uid_mappings, gid_mappings;  // of an idmapped mount; with "idmap" and none: the container's
  std::string below;  // bind, ours: what is mounted lies here below source, with no way out of it; made if missing
  bool operator==(const Mount&) const = default;
};

struct Namespace {
  std::string type;  // pid network ipc uts mount cgroup user time
  std::string path;  // empty: a new one
  bool operator==(const Namespace&) const = default;
};

struct Device {
  std::string path;
  char type = 'c';
  int64_t major = 0;
  int64_t minor = 0;
  uint32_t mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const Device&) const = default;
};

struct SeccompArgument {
  uint32_t index = 0;
  uint64_t value = 0;
  uint64_t value_two = 0;
  std::string op;  // SCMP_CMP_EQ, ...
  bool operator==(const SeccompArgument&) const = default;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  // SCMP_ACT_ALLOW, ...
  std::optional<uint32_t> errno_ret;
  std::vector<SeccompArgument> args;  // all must hold
  bool operator==(const SeccompRule&) const = default;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // SCMP_ARCH_X86_64, ...; empty: the machine's own
  std::vector<std::string> flags;          // SECCOMP_FILTER_FLAG_LOG, ...
  std::vector<SeccompRule> rules;
  std::string listener_path;      // unix socket that takes the descriptor of SCMP_ACT_NOTIFY
  std::string listener_metadata;  // handed on with it
  bool operator==(const Seccomp&) const = default;
};

struct TimeOffset {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  bool operator==(const TimeOffset&) const = default;
};

struct MemoryPolicy {
  std::string mode;                // MPOL_BIND, ...
  std::string nodes;               // "0-1"; empty for the modes that take none
  std::vector<std::string> flags;  // MPOL_F_STATIC_NODES, ...
  bool operator==(const MemoryPolicy&) const = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  IdMappings uid_mappings, gid_mappings;  // of a new user namespace
  cgroups::Resources resources;
  std::vector<cgroups::DeviceRule> device_rules;  // resources.devices
  std::vector<Device> devices;
  std::map<std::string, std::string> sysctl;
  std::string cgroups_path;
  std::string rootfs_propagation;  // private, slave, shared, unbindable; empty: private
  std::optional<Seccomp> seccomp;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;  // of "monotonic" and "boottime", for a new time namespace
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;  // SELinux, of the file systems that are made
  std::optional<MemoryPolicy> memory_policy;
  bool operator==(const Linux&) const = default;
};

struct Hook {
  std::string path;               // absolute
  std::vector<std::string> args;  // with argv[0]; empty: the path
  std::vector<std::string> env;
  std::optional<int> timeout_seconds;
  bool operator==(const Hook&) const = default;
};

// Programs that run at points of a container's life; each gets its state (JSON) on the standard input.
struct Hooks {
  std::vector<Hook> prestart, create_runtime;  // namespaces are made, the root is not changed; on the host
  std::vector<Hook> create_container;          // the same moment, in the container's namespaces
  std::vector<Hook> start_container;           // before the program, in the container
  std::vector<Hook> poststart, poststop;       // on the host
  bool operator==(const Hooks&) const = default;
};

struct Spec {
  std::string oci_version = "1.2.0";
  Process process;
  std::string root_path = "rootfs";
  bool root_readonly = false;
  std::string hostname, domainname;
  std::vector<Mount> mounts;
  std::map<std::string, std::string> annotations;
  Hooks hooks;
  Linux linux;
  bool operator==(const Spec&) const = default;
};

}  // namespace fermata::runtime
