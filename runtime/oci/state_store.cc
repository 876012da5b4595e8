#include "runtime/oci/state_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "cgroups/mount.h"
#include "runtime/base/file.h"
#include "runtime/spec/spec_json.h"

namespace fermata::runtime::oci {
namespace {

constexpr const char* kStateFile = "state.json";
constexpr size_t kMaxId = 255;

Result<> CheckId(const std::string& id) {
  const bool charset = std::ranges::all_of(id, [](unsigned char c) {
    return (std::isalnum(c) != 0 && c < 0x80) || c == '_' || c == '+' || c == '-' || c == '.';
  });
  if (!id.empty() && id.size() <= kMaxId && charset && id != "." && id != "..") return {};
  return Error::Make(ErrorCode::kInvalidArgument,
                     "a container id has letters, digits, '_', '+', '-' and '.', and at most 255 of them");
}

Error DoesNotExist(const std::string& id) {
  return Error::Make(ErrorCode::kNotFound, "container ", id, " does not exist");
}

}  // namespace

std::string_view StatusText(Status status) {
  constexpr std::array<std::string_view, 5> kTexts = {"creating", "created", "running", "paused", "stopped"};
  return kTexts[static_cast<size_t>(status)];
}

Result<StateStore> StateStore::Open(const std::string& root) {
  ASSIGN_OR_RETURN(UniqueFd directory, MakeDirectories(AT_FDCWD, root, 0700), "root directory ", root);
  return StateStore(std::move(directory));
}

Result<UniqueFd> StateStore::Create(const std::string& id) {
  RETURN_IF_ERROR(CheckId(id));
  if (::mkdirat(root_.get(), id.c_str(), 0700) != 0) {
    if (errno == EEXIST) return Error::Make(ErrorCode::kAlreadyExists, "container with id exists already: ", id);
    return Error::Errno("mkdir ", id);
  }
  return OpenDirectory(id);
}

Result<UniqueFd> StateStore::OpenDirectory(const std::string& id) {
  RETURN_IF_ERROR(CheckId(id));
  auto opened = OpenAt(root_.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && opened.error().saved_errno() == ENOENT) return DoesNotExist(id);
  return opened;
}

Result<> StateStore::Save(int directory, const ContainerState& state) {
  const Json json = {{"id", state.id},
                     {"bundle", state.bundle},
                     {"pid", state.pid},
                     {"startTime", state.start_time},
                     {"created", state.created},
                     {"group", state.group},
                     {"twoStages", state.two_stages},
                     {"steps", state.steps},
                     {"spec", SpecToJsonValue(state.spec)}};
  return WriteFileAtomic(directory, kStateFile, json.dump(-1, ' ', false, Json::error_handler_t::replace), 0600);
}

Result<ContainerState> StateStore::Load(const std::string& id) {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenDirectory(id));
  auto text = ReadFileAt(directory.get(), kStateFile);
  if (!text && text.error().saved_errno() == ENOENT) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", id,
                       " is being created, or its creation died: ", "delete it with --force");
  }
  if (!text) return std::move(text).error();
  ASSIGN_OR_RETURN(const Json json, ParseJson(*text, kStateFile));
  ContainerState state;
  ASSIGN_OR_RETURN(const bool read, ReadJson(kStateFile, [&] {
                     state.id = json.at("id");
                     state.bundle = json.at("bundle");
                     state.pid = json.at("pid");
                     state.start_time = json.at("startTime");
                     state.created = json.at("created");
                     state.group = json.at("group");
                     state.two_stages = json.at("twoStages");
                     state.steps = json.at("steps").get<std::vector<std::string>>();
                     return true;
                   }));
  (void)read;  // nothing else than done or an error
  ASSIGN_OR_RETURN(state.spec, SpecFromJsonValue(json.at("spec")));
  return state;
}

Result<> StateStore::Remove(const std::string& id) { return RemoveTree(root_.get(), id); }

Result<std::vector<std::string>> StateStore::List() { return ListDirectory(root_.get()); }

std::optional<Pidfd> ProcessOf(const ContainerState& state) {
  auto process = Pidfd::OpenChecked(state.pid, state.start_time);
  if (!process || process->WaitExited(0)) return std::nullopt;
  return std::move(*process);
}

Result<cgroups::Cgroup> GroupOf(const ContainerState& state) {
  ASSIGN_OR_RETURN(const std::string mount, cgroups::FindCgroup2Mount());
  ASSIGN_OR_RETURN(const cgroups::Cgroup root, cgroups::Cgroup::Open(mount));
  return root.OpenBelow(state.group);
}

Result<Status> StatusOf(StateStore& store, const ContainerState& state) {
  if (!ProcessOf(state)) return Status::kStopped;
  ASSIGN_OR_RETURN(const UniqueFd directory, store.OpenDirectory(state.id));
  if (::faccessat(directory.get(), kStartPipe, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return Status::kCreated;
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  ASSIGN_OR_RETURN(const std::string events, ReadFileAt(group.fd(), "cgroup.events"));
  return cgroups::ParseEvents(events).frozen ? Status::kPaused : Status::kRunning;
}

Json StateJson(const ContainerState& state, Status status) {
  Json json = {{"ociVersion", "1.2.0"},        {"id", state.id},
               {"status", StatusText(status)}, {"pid", status == Status::kStopped ? 0 : state.pid},
               {"bundle", state.bundle},       {"rootfs", state.spec.root_path},
               {"created", state.created},     {"owner", ""}};
  if (!state.spec.annotations.empty()) json["annotations"] = state.spec.annotations;
  return json;
}

}  // namespace fermata::runtime::oci
