#include "sandbox/network/cni_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "runtime/base/log.h"

namespace fermata::sandbox {
namespace {

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF |
                             IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR;

std::string NearestDirectory(std::filesystem::path path) {
  std::error_code ignored;
  while (path.has_relative_path() && !std::filesystem::is_directory(path, ignored)) path = path.parent_path();
  return path.string();
}

}  // namespace

CniWatch::CniWatch(std::string directory, UniqueFd inotify, UniqueFd end)
    : directory_(std::move(directory)),
      inotify_(std::move(inotify)),
      end_(std::move(end)),
      current_(Error::Make(ErrorCode::kNotFound, "not read yet")) {
  Rearm();
  Load();
}

Result<std::unique_ptr<CniWatch>> CniWatch::Open(std::string directory) {
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return Error::Errno("inotify_init");
  UniqueFd end(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!end.valid()) return Error::Errno("eventfd");
  return std::unique_ptr<CniWatch>(new CniWatch(std::move(directory), std::move(inotify), std::move(end)));
}

void CniWatch::Watch(std::function<void()> changed) {
  changed_ = std::move(changed);
  thread_ = std::thread([this] { Run(); });
}

void CniWatch::End() {
  if (!thread_.joinable()) return;
  (void)::eventfd_write(end_.get(), 1);  // cannot overflow
  thread_.join();
}

Result<std::shared_ptr<const CniNetwork>> CniWatch::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void CniWatch::Load() {
  auto network = LoadCniNetwork(directory_);
  const std::lock_guard lock(mutex_);
  if (network) {
    current_ = std::make_shared<const CniNetwork>(std::move(*network));
  } else {
    current_ = std::move(network).error();
  }
}

void CniWatch::Rearm() {
  if (watch_ >= 0 && watched_ == directory_) return;
  for (std::string path = NearestDirectory(directory_);;) {
    const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), kEvents);
    if (watch >= 0 && watch_ >= 0 && watch_ != watch) (void)::inotify_rm_watch(inotify_.get(), watch_);  // may be gone
    if (watch >= 0) {
      watch_ = watch;
      watched_ = path;
    } else if (errno != ENOENT) {
      log::warn("watch {}: {}", directory_, Error::Errno("inotify_add_watch ", path).message());
      return;
    }
    // A directory that came meanwhile made no event.
    std::string now = NearestDirectory(directory_);
    if (watch >= 0 && now == path) return;
    path = std::move(now);
  }
}

void CniWatch::Run() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    std::array<pollfd, 2> entries = {{{inotify_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
    if (entries[1].revents != 0) return;
    for (ssize_t count = 0; (count = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
      for (ssize_t at = 0; at < count;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        const bool lost = (event->mask & (IN_IGNORED | IN_MOVE_SELF | IN_DELETE_SELF)) != 0;
        if (lost && event->wd == watch_) watch_ = -1;
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    // First the watch, then the look: what is written between the two is an event again.
    Rearm();
    Load();
    changed_();
  }
}

}  // namespace fermata::sandbox
