#include "runtime/monitor/event_loop.h"

namespace fermata::runtime {

Result<> EventLoop::Open() {
  epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return Error::Errno("epoll_create1");
  return {};
}

Result<> EventLoop::Add(int fd, uint32_t events, Callback callback) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return Error::Errno("epoll_ctl");
  callbacks_[fd] = std::move(callback);
  return {};
}

void EventLoop::Modify(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);  // fails only for a descriptor never added
}

void EventLoop::Remove(int fd) {
  if (callbacks_.erase(fd) != 0) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::Run() {
  while (running_) {
    epoll_event event{};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (ready <= 0) continue;
    const auto found = callbacks_.find(event.data.fd);
    if (found == callbacks_.end()) continue;
    const Callback callback = found->second;  // a copy: it may remove itself
    callback(event.events);
  }
}

}  // namespace fermata::runtime
