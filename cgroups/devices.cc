#include "cgroups/devices.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"

namespace fermata::cgroups {
namespace {

// By this name our own programs are known again; the kernel keeps 15 characters.
constexpr char kProgramName[] = "fermata_devices";
static_assert(sizeof kProgramName <= BPF_OBJ_NAME_LEN);

// The reason stands at the end of the verifier's log, after a trace of any length.
constexpr size_t kVerifierLogBytes = size_t{16} << 20;
constexpr size_t kLogBytesInError = 1000;

uint64_t Pointer(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

// -1 and errno. The kernel accepts a structure longer than its own when the rest is zero.
int Bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

// The verifier gives up with EAGAIN when a signal is pending.
int LoadOnce(std::span<const bpf_insn> program, std::span<char> log) {
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.expected_attach_type = BPF_CGROUP_DEVICE;
  attributes.insns = Pointer(program.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.size());
  attributes.license = Pointer("");  // calls no helper of the kernel
  std::memcpy(attributes.prog_name, kProgramName, sizeof kProgramName);
  if (!log.empty()) {
    attributes.log_level = 1;
    attributes.log_buf = Pointer(log.data());
    attributes.log_size = static_cast<uint32_t>(log.size());
  }
  int fd = -1;
  for (int tries = 0; tries < 5; ++tries) {
    fd = Bpf(BPF_PROG_LOAD, attributes);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

// Loading with a log costs more, so only a refused program is loaded again with one.
Result<UniqueFd> LoadProgram(std::span<const bpf_insn> program) {
  if (const int fd = LoadOnce(program, {}); fd >= 0) return UniqueFd(fd);
  const int number = errno;
  std::string log(kVerifierLogBytes, '\0');
  if (const int fd = LoadOnce(program, log); fd >= 0) return UniqueFd(fd);
  log.resize(std::strlen(log.c_str()));
  log.erase(0, log.size() - std::min(log.size(), kLogBytesInError));
  Error error = Error::FromErrno(number, "bpf load of ", std::to_string(program.size()), " instructions");
  if (log.empty()) return error;
  return Error(error.code(), error.message() + "; verifier: " + log, number);
}

Result<UniqueFd> ProgramById(uint32_t id) {
  bpf_attr attributes{};
  attributes.prog_id = id;
  const int fd = Bpf(BPF_PROG_GET_FD_BY_ID, attributes);
  if (fd < 0) return Error::Errno("bpf open of program ", std::to_string(id));
  return UniqueFd(fd);
}

Result<bool> IsOurs(int program) {
  bpf_prog_info info{};
  bpf_attr attributes{};
  attributes.info.bpf_fd = static_cast<uint32_t>(program);
  attributes.info.info = Pointer(&info);
  attributes.info.info_len = sizeof info;
  if (Bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) != 0) return Error::Errno("bpf information of a program");
  return std::string_view(info.name, ::strnlen(info.name, sizeof info.name)) == kProgramName;
}

// Programs of ours that hang on the group itself: one, or more after a crash between two steps.
Result<std::vector<UniqueFd>> OurPrograms(int cgroup) {
  std::array<uint32_t, 64> ids{};  // the kernel allows no more on one group
  bpf_attr attributes{};
  attributes.query.target_fd = static_cast<uint32_t>(cgroup);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = Pointer(ids.data());
  attributes.query.prog_cnt = static_cast<uint32_t>(ids.size());
  if (Bpf(BPF_PROG_QUERY, attributes) != 0) return Error::Errno("bpf query of device programs");
  std::vector<UniqueFd> programs;
  for (size_t i = 0; i < attributes.query.prog_cnt; ++i) {
    auto program = ProgramById(ids[i]);
    if (!program && program.error().saved_errno() == ENOENT) continue;  // detached meanwhile
    if (!program) return std::move(program).error();
    ASSIGN_OR_RETURN(const bool ours, IsOurs(program->get()));
    if (ours) programs.push_back(std::move(program).value());
  }
  return programs;
}

// `replaced` < 0: adds the program to those on the group.
Result<> Attach(int cgroup, int program, int replaced) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<uint32_t>(replaced);
  }
  if (Bpf(BPF_PROG_ATTACH, attributes) != 0) return Error::Errno("bpf attach");
  return {};
}

Result<> Detach(int cgroup, int program) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  if (Bpf(BPF_PROG_DETACH, attributes) != 0 && errno != ENOENT) return Error::Errno("bpf detach");
  return {};
}

Result<> Install(int cgroup, int program) {
  ASSIGN_OR_RETURN(const std::vector<UniqueFd> old, OurPrograms(cgroup));
  RETURN_IF_ERROR(Attach(cgroup, program, old.empty() ? -1 : old.front().get()));
  for (size_t i = 1; i < old.size(); ++i) RETURN_IF_ERROR(Detach(cgroup, old[i].get()));
  return {};
}

DeviceRule AllowChar(int64_t major, int64_t minor) { return {DeviceType::kChar, major, minor, kDeviceAll, true}; }

}  // namespace

std::vector<DeviceRule> DefaultDeviceRules() {
  return {
      {DeviceType::kChar, -1, -1, kDeviceMknod, true},
      {DeviceType::kBlock, -1, -1, kDeviceMknod, true},
      AllowChar(1, 3),     // null
      AllowChar(1, 5),     // zero
      AllowChar(1, 7),     // full
      AllowChar(1, 8),     // random
      AllowChar(1, 9),     // urandom
      AllowChar(5, 0),     // tty
      AllowChar(5, 1),     // console
      AllowChar(5, 2),     // ptmx
      AllowChar(136, -1),  // pts/*
  };
}

std::vector<DeviceRule> AllowAllDeviceRules() { return {{DeviceType::kAll, -1, -1, kDeviceAll, true}}; }

Result<DeviceProgram> DeviceProgram::Load(std::span<const DeviceRule> rules) {
  ASSIGN_OR_RETURN(const std::vector<bpf_insn> instructions, CompileDeviceRules(rules));
  ASSIGN_OR_RETURN(UniqueFd program, LoadProgram(instructions));
  return DeviceProgram(std::move(program));
}

Result<> DeviceProgram::Attach(const Cgroup& cgroup) const {
  RETURN_IF_ERROR(Install(cgroup.fd(), program_.get()), "device rules of ", cgroup.Path());
  return {};
}

Result<> AttachDevices(const Cgroup& cgroup, std::span<const DeviceRule> rules) {
  ASSIGN_OR_RETURN(const DeviceProgram program, DeviceProgram::Load(rules), "device rules of ", cgroup.Path());
  return program.Attach(cgroup);
}

}  // namespace fermata::cgroups
