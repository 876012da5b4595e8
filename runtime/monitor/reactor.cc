#include "runtime/monitor/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace fermata::runtime {

Result<std::unique_ptr<Reactor>> Reactor::Start() {
  std::unique_ptr<Reactor> reactor(new Reactor());
  reactor->epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  reactor->wake_.Reset(::eventfd(0, EFD_CLOEXEC));
  if (!reactor->epoll_.valid() || !reactor->wake_.valid()) return Error::Errno("epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = reactor->wake_.get();
  if (::epoll_ctl(reactor->epoll_.get(), EPOLL_CTL_ADD, reactor->wake_.get(), &event) != 0) {
    return Error::Errno("epoll_ctl");
  }
  reactor->thread_ = std::thread([raw = reactor.get()] { raw->Run(); });
  return reactor;
}

Reactor::~Reactor() { Stop(); }

void Reactor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

Result<> Reactor::Add(int fd, std::weak_ptr<Readable> receiver) {
  const std::lock_guard lock(mutex_);
  receivers_[fd] = std::move(receiver);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    receivers_.erase(fd);
    return Error::Errno("epoll_ctl");
  }
  return {};
}

void Reactor::Remove(int fd) {
  const std::lock_guard lock(mutex_);
  if (receivers_.erase(fd) != 0) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Reactor::Run() {
  for (;;) {
    epoll_event event{};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (ready <= 0) continue;
    if (event.data.fd == wake_.get()) return;
    std::shared_ptr<Readable> receiver;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = receivers_.find(event.data.fd); found != receivers_.end()) receiver = found->second.lock();
    }
    if (receiver != nullptr) {
      receiver->OnReadable();
    } else {
      Remove(event.data.fd);  // its owner is being destroyed
    }
  }
}

}  // namespace fermata::runtime
