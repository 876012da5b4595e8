// ContainerConfig to ContainerSpec: a table of readers, one a group of fields.
#include <algorithm>
#include <array>
#include <string_view>

#include "cri/convert_internal.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri {
namespace {

using convert::Indexed;
using convert::Invalid;
using convert::NotYet;
using sandbox::ContainerSpec;
using sandbox::SandboxSpec;

Result<> ReadMetadata(const v1::ContainerConfig& config, const SandboxSpec&, ContainerSpec& spec) {
  if (!config.has_metadata()) return Invalid("metadata: missing");
  if (config.metadata().name().empty()) return Invalid("metadata.name: empty");
  if (config.has_windows()) return Invalid("windows: this runtime runs Linux containers only");
  spec.name = config.metadata().name();
  spec.attempt = config.metadata().attempt();
  spec.labels = convert::ToMap(config.labels());
  spec.annotations = convert::ToMap(config.annotations());
  return {};
}

// The handler of the image is said to be the pod's; it has to be, because there is one store of images.
Result<> ReadImage(const v1::ContainerConfig& config, const SandboxSpec& sandbox, ContainerSpec& spec) {
  const v1::ImageSpec& image = config.image();
  if (image.image().empty()) return Invalid("image.image: empty");
  if (!image.runtime_handler().empty() && image.runtime_handler() != sandbox.runtime_handler) {
    return Invalid("image.runtime_handler: ", sandbox::Quoted(image.runtime_handler()), " is not the sandbox's");
  }
  spec.image = image.image();
  spec.user_specified_image = image.user_specified_image();
  spec.image_annotations = convert::ToMap(image.annotations());
  return {};
}

Result<> ReadProcess(const v1::ContainerConfig& config, const SandboxSpec&, ContainerSpec& spec) {
  spec.command = convert::ToVector(config.command());
  spec.args = convert::ToVector(config.args());
  for (int i = 0; i < config.envs_size(); ++i) {
    RETURN_IF_ERROR(sandbox::CheckEnvName(config.envs(i).key()), Indexed("envs", i), ".key");
    spec.env.push_back(config.envs(i).key() + "=" + config.envs(i).value());
  }
  uint64_t bytes = 0;
  for (const auto* list : {&spec.command, &spec.args, &spec.env}) {
    for (const std::string& text : *list) bytes += text.size() + 1;
  }
  if (bytes > sandbox::kMaxArgumentBytes) {
    return Invalid("command, args and envs: ", std::to_string(bytes), " bytes, at most 2097152");
  }
  if (!config.working_dir().empty()) RETURN_IF_ERROR(sandbox::CheckAbsolutePath(config.working_dir()), "working_dir");
  spec.working_dir = config.working_dir();
  return {};
}

Result<> ReadStreams(const v1::ContainerConfig& config, const SandboxSpec& sandbox, ContainerSpec& spec) {
  spec.tty = config.tty();
  spec.want_stdin = config.stdin();
  spec.stdin_once = config.stdin_once();
  if (config.log_path().empty()) return {};
  RETURN_IF_ERROR(sandbox::CheckRelativePath(config.log_path()), "log_path");
  if (!sandbox.log_directory.empty()) spec.log_path = config.log_path();
  return {};
}

bool IsImageVolume(const v1::Mount& mount) { return mount.has_image() && !mount.image().image().empty(); }

// Of nothing else than an image, and of that nothing can be written or mounted on.
Result<> CheckImageVolume(const v1::Mount& mount) {
  if (!mount.host_path().empty()) return Invalid("host_path: given beside image");
  if (!mount.readonly()) return Invalid("readonly: an image volume is always read-only, so this has to be true");
  if (mount.uidmappings_size() > 0 || mount.gidmappings_size() > 0) {
    return Invalid("uidMappings: the ids of an image volume are those of the pod");
  }
  if (mount.propagation() != v1::PROPAGATION_PRIVATE) return Invalid("propagation: an image volume has none");
  if (mount.image_sub_path().empty()) return {};
  RETURN_IF_ERROR(sandbox::CheckRelativePath(mount.image_sub_path()), "image_sub_path");
  return {};
}

Result<> CheckMountOptions(const v1::Mount& mount) {
  constexpr std::array<std::string_view, 3> kOptions = {"noexec", "nodev", "nosuid"};
  for (int i = 0; i < mount.mount_options_size(); ++i) {
    if (std::ranges::find(kOptions, mount.mount_options(i)) == kOptions.end()) {
      return Invalid(Indexed("mount_options", i), ": ", sandbox::Quoted(mount.mount_options(i)),
                     " is none of noexec, nodev and nosuid");
    }
  }
  return {};
}

Result<> CheckMountSource(const v1::Mount& mount) {
  RETURN_IF_ERROR(CheckMountOptions(mount));
  if (IsImageVolume(mount)) return CheckImageVolume(mount);
  if (!mount.image_sub_path().empty()) return Invalid("image_sub_path: given without image");
  if (mount.uidmappings_size() > 0 || mount.gidmappings_size() > 0) {
    RETURN_IF_ERROR(runtime::CheckMappings(
        {convert::ReadIdMappings(mount.uidmappings()), convert::ReadIdMappings(mount.gidmappings())}));
  }
  RETURN_IF_ERROR(sandbox::CheckAbsolutePath(mount.host_path()), "host_path");
  return {};
}

Result<sandbox::ContainerMount> ReadMount(const v1::Mount& mount) {
  RETURN_IF_ERROR(sandbox::CheckAbsolutePath(mount.container_path()), "container_path");
  RETURN_IF_ERROR(CheckMountSource(mount));
  if (!v1::MountPropagation_IsValid(mount.propagation())) return Invalid("propagation: unknown value");
  if (mount.recursive_read_only()) {
    if (!mount.readonly()) return Invalid("recursive_read_only: needs readonly");
    if (mount.propagation() != v1::PROPAGATION_PRIVATE) {
      return Invalid("recursive_read_only: needs propagation PROPAGATION_PRIVATE");
    }
  }
  sandbox::ContainerMount out;
  out.container_path = mount.container_path();
  out.host_path = mount.host_path();
  out.image = mount.image().image();
  out.image_sub_path = mount.image_sub_path();
  out.options = convert::ToVector(mount.mount_options());
  out.uids = convert::ReadIdMappings(mount.uidmappings());
  out.gids = convert::ReadIdMappings(mount.gidmappings());
  out.readonly = mount.readonly();
  out.recursive_readonly = mount.recursive_read_only();
  out.selinux_relabel = mount.selinux_relabel();
  out.propagation = static_cast<sandbox::Propagation>(mount.propagation());
  return out;
}
static_assert(static_cast<int>(sandbox::Propagation::kPrivate) == v1::PROPAGATION_PRIVATE);
static_assert(static_cast<int>(sandbox::Propagation::kHostToContainer) == v1::PROPAGATION_HOST_TO_CONTAINER);
static_assert(static_cast<int>(sandbox::Propagation::kBidirectional) == v1::PROPAGATION_BIDIRECTIONAL);

Result<sandbox::DeviceRequest> ReadDevice(const v1::Device& device) {
  RETURN_IF_ERROR(sandbox::CheckAbsolutePath(device.container_path()), "container_path");
  RETURN_IF_ERROR(sandbox::CheckAbsolutePath(device.host_path()), "host_path");
  if (device.permissions().empty() || device.permissions().find_first_not_of("rwm") != std::string::npos) {
    return Invalid("permissions: ", sandbox::Quoted(device.permissions()), " is not one or more of r, w and m");
  }
  return sandbox::DeviceRequest{device.container_path(), device.host_path(), device.permissions()};
}

Result<> ReadFiles(const v1::ContainerConfig& config, const SandboxSpec&, ContainerSpec& spec) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    ASSIGN_OR_RETURN(sandbox::ContainerMount mount, ReadMount(config.mounts(i)), Indexed("mounts", i));
    spec.mounts.push_back(std::move(mount));
  }
  for (int i = 0; i < config.devices_size(); ++i) {
    ASSIGN_OR_RETURN(sandbox::DeviceRequest device, ReadDevice(config.devices(i)), Indexed("devices", i));
    spec.devices.push_back(std::move(device));
  }
  if (config.cdi_devices_size() > 0) return NotYet("CDI_devices: CDI devices are not supported yet");
  return {};
}

Result<> ReadStopSignal(const v1::ContainerConfig& config, const SandboxSpec&, ContainerSpec& spec) {
  const std::optional<int> number = SignalNumber(config.stop_signal());
  if (!number) return Invalid("stop_signal: unknown value");
  spec.stop_signal = *number;
  return {};
}

Result<> ReadLinux(const v1::ContainerConfig& config, const SandboxSpec& sandbox, ContainerSpec& spec) {
  const v1::LinuxContainerResources& resources = config.linux().resources();
  ASSIGN_OR_RETURN(spec.resources, FromProto(resources), "linux.resources");
  // Not in FromProto: an update may hold half of what a whole set of limits has to agree about.
  RETURN_IF_ERROR(cgroups::RenderSettings(spec.resources), "linux.resources");
  ASSIGN_OR_RETURN(spec.oom_score_adj, OomScoreAdj(resources), "linux.resources");
  ASSIGN_OR_RETURN(spec.security, convert::ReadSecurity(config.linux().security_context(), sandbox),
                   "linux.security_context");
  return {};
}

using Reader = Result<> (*)(const v1::ContainerConfig&, const SandboxSpec&, ContainerSpec&);
constexpr Reader kReaders[] = {ReadMetadata, ReadImage, ReadProcess, ReadStreams, ReadFiles, ReadStopSignal, ReadLinux};

}  // namespace

Result<ContainerSpec> FromProto(const v1::ContainerConfig& config, const SandboxSpec& sandbox) {
  RETURN_IF_ERROR(convert::CheckStrings(config));
  ContainerSpec spec;
  for (const Reader read : kReaders) RETURN_IF_ERROR(read(config, sandbox, spec));
  return spec;
}

}  // namespace fermata::cri
