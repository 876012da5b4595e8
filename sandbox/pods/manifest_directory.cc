#include "sandbox/pods/manifest_directory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace fermata::sandbox::pods {
namespace {

constexpr int kRetryMs = 30'000;
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR;

bool IsManifest(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"));
}

std::string FullName(const SandboxSpec& pod) { return pod.name_space + "/" + pod.name; }

}  // namespace

Result<std::unique_ptr<ManifestDirectory>> ManifestDirectory::Start(PodEngine& pods, std::string directory,
                                                                    std::string record) {
  std::unique_ptr<ManifestDirectory> made(new ManifestDirectory(pods, std::move(directory), std::move(record)));
  RETURN_IF_ERROR(made->Open(), "directory of manifests ", made->directory_);
  made->LoadRecord();
  made->thread_ = std::thread([self = made.get()] { self->Loop(); });
  return made;
}

Result<> ManifestDirectory::Open() {
  ASSIGN_OR_RETURN(fd_, MakeDirectories(AT_FDCWD, directory_));
  ASSIGN_OR_RETURN(cancellation_, overlay::Cancellation::Make());
  inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  end_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!inotify_.valid() || !end_.valid()) return Error::Errno("inotify_init1");
  // Before the first look, so that nothing is missed.
  if (::inotify_add_watch(inotify_.get(), directory_.c_str(), kEvents) < 0) return Error::Errno("inotify_add_watch");
  return {};
}

void ManifestDirectory::LoadRecord() {
  auto text = ReadFileAt(AT_FDCWD, record_);
  if (!text) return;  // none was ever written
  auto json = ParseJson(*text, record_);
  if (!json) return log::warn("{}", json.error().message());
  const auto read = ReadJson(record_, [&] { return json->get<std::map<std::string, Names>>(); });
  if (!read) return log::warn("{}", read.error().message());
  for (const auto& [name, pods] : *read) files_[name] = {directory_ + "/" + name, pods, ""};
}

void ManifestDirectory::SaveRecord() const {
  Json json = Json::object();
  for (const File& file : Files()) {
    if (!file.pods.empty()) json[file.path.substr(directory_.size() + 1)] = file.pods;
  }
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (auto written = WriteFileAtomic(AT_FDCWD, record_, text, 0600); !written) {
    log::warn("{}: {}", record_, written.error().message());
  }
}

std::vector<ManifestDirectory::File> ManifestDirectory::Files() const {
  const std::lock_guard lock(mutex_);
  std::vector<File> files;
  for (const auto& [name, file] : files_) files.push_back(file);
  return files;
}

ManifestDirectory::Names ManifestDirectory::PodsOf(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(name);
  return found == files_.end() ? Names() : found->second.pods;
}

void ManifestDirectory::SetPods(const std::string& name, const Names& pods) {
  {
    const std::lock_guard lock(mutex_);
    files_[name].path = directory_ + "/" + name;
    files_[name].pods = pods;
  }
  SaveRecord();
}

void ManifestDirectory::SetError(const std::string& name, const std::string& error) {
  const std::lock_guard lock(mutex_);
  File& file = files_[name];
  file.path = directory_ + "/" + name;
  if (!error.empty() && file.error != error) log::error("{}: {}", file.path, error);
  file.error = error;
}

// The files that are there, and those that were.
std::set<std::string> ManifestDirectory::All() const {
  std::set<std::string> names;
  if (auto listed = ListDirectory(fd_.get())) {
    std::ranges::copy_if(*listed, std::inserter(names, names.end()), IsManifest);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [name, file] : files_) names.insert(name);
  return names;
}

std::set<std::string> ManifestDirectory::ReadEvents(bool& gone) const {
  std::set<std::string> names;
  alignas(inotify_event) std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) return names;
    for (ssize_t at = 0; at < size;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const name = buffer.data() + at + sizeof event;
      if ((event.mask & IN_Q_OVERFLOW) != 0) names.merge(All());
      gone |= (event.mask & (IN_DELETE_SELF | IN_IGNORED)) != 0;
      if (event.len > 0 && IsManifest(name)) names.insert(name);
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

void ManifestDirectory::Loop() {
  std::set<std::string> names = All();
  bool gone = false;
  for (;;) {
    for (const std::string& name : names) {
      if (cancellation_->flag()) return;
      SyncFile(name);
    }
    pollfd wait[2] = {{end_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};
    const int ready = ::poll(wait, 2, failed_.empty() ? -1 : kRetryMs);
    if (wait[0].revents != 0) return;
    names = ready == 0 ? failed_ : ReadEvents(gone);
    if (gone) {
      return log::error("{} has been removed: its pods stay, and are kept by no file until the daemon is started again",
                        directory_);
    }
  }
}

void ManifestDirectory::End() {
  if (!thread_.joinable()) return;
  cancellation_->Cancel();
  const uint64_t one = 1;
  (void)!::write(end_.get(), &one, sizeof one);
  thread_.join();
}

void ManifestDirectory::SyncFile(const std::string& name) {
  failed_.erase(name);
  if (::faccessat(fd_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
    RemovePods(PodsOf(name));
    {
      const std::lock_guard lock(mutex_);
      files_.erase(name);
    }
    return SaveRecord();
  }
  const Result<> done = ApplyFile(name);
  if (!done && cancellation_->flag()) return;  // the next daemon looks at it
  SetError(name, done ? "" : done.error().message());
}

// A pod of that name may be there only if this file made it.
Result<> ManifestDirectory::CheckNames(const std::string& name, const Names& wanted) const {
  const Names own = PodsOf(name);
  const std::vector<PodView> there = pods_.List(false);
  for (const std::string& pod : wanted) {
    if (std::ranges::count(own, pod) > 0) continue;
    for (const File& file : Files()) {
      if (std::ranges::count(file.pods, pod) == 0) continue;
      return Error::Make(ErrorCode::kAlreadyExists, "pod ", pod, " is of ", file.path,
                         " already; give it another name");
    }
    for (const PodView& view : there) {
      if (FullName(view.sandbox->spec) != pod) continue;
      return Error::Make(ErrorCode::kAlreadyExists, "pod ", pod, " exists already, and not by this directory; ",
                         "remove it with fermata rm ", pod, ", then write the file again");
    }
  }
  return {};
}

Result<> ManifestDirectory::ApplyFile(const std::string& name) {
  ASSIGN_OR_RETURN(std::string text, ReadFileAt(fd_.get(), name, kMaxManifestBytes));
  ASSIGN_OR_RETURN(const std::vector<PodManifest> manifests, ParseManifest(text, name));
  Names wanted;
  for (const PodManifest& pod : manifests) wanted.push_back(FullName(pod.sandbox));
  RETURN_IF_ERROR(CheckNames(name, wanted));
  const Names before = PodsOf(name);
  Names both = before;
  std::ranges::copy_if(wanted, std::back_inserter(both),
                       [&](const std::string& pod) { return std::ranges::count(before, pod) == 0; });
  SetPods(name, both);  // first: a daemon that ends now must know whose they are
  const auto is_there = [&](const std::string& pod) {
    const std::vector<PodView> there = pods_.List(false);
    return std::ranges::any_of(there, [&](const PodView& view) { return FullName(view.sandbox->spec) == pod; });
  };
  auto applied = pods_.Apply({std::move(text), name, false, Existing::kReplaceIfOther}, cancellation_);
  if (!applied) {
    std::erase_if(both, [&](const std::string& pod) { return std::ranges::count(before, pod) == 0 && !is_there(pod); });
    SetPods(name, both);
    failed_.insert(name);
    return std::move(applied).error();
  }
  Names dropped;
  std::ranges::copy_if(before, std::back_inserter(dropped),
                       [&](const std::string& pod) { return std::ranges::count(wanted, pod) == 0; });
  RemovePods(dropped);
  SetPods(name, wanted);
  return {};
}

void ManifestDirectory::RemovePods(const Names& pods) {
  for (const PodView& view : pods_.List(false)) {
    if (std::ranges::count(pods, FullName(view.sandbox->spec)) == 0) continue;
    log::info("pod {}: its manifest has been removed from {}", view.sandbox->spec.name, directory_);
    if (auto removed = pods_.Remove(view.sandbox->id, true); !removed) log::warn("{}", removed.error().message());
  }
}

}  // namespace fermata::sandbox::pods
