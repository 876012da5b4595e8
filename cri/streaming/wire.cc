#include "cri/streaming/wire.h"

#include <boost/asio/post.hpp>

namespace fermata::cri::streaming {
namespace {

constexpr size_t kReadBytes = size_t{32} << 10;
constexpr size_t kKeepBytes = size_t{64} << 10;  // of a buffer that has grown
constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kLastWrites = std::chrono::seconds(60);  // for a client that does not read them

}  // namespace

Wire::Wire(std::unique_ptr<ByteStream> stream, std::chrono::seconds idle, std::shared_ptr<void> ticket)
    : ticket_(std::move(ticket)),
      stream_(std::move(stream)),
      idle_(idle),
      timer_(stream_->socket().get_executor()),
      last_(std::chrono::steady_clock::now()) {}

void Wire::Start(std::shared_ptr<WireUser> user, std::string first) {
  user_ = std::move(user);
  buffer_.resize(kReadBytes);
  WatchIdle();
  if (first.empty()) return Read();
  reading_ = true;  // the bytes that are there come first
  asio::post(executor(), [self = shared_from_this(), first = std::move(first)] {
    self->reading_ = false;
    self->Deliver(first);
    self->Read();
  });
}

void Wire::Read() {
  if (reading_ || delivering_ || paused_ || closed_) return;
  reading_ = true;
  stream_->Read(asio::buffer(buffer_), [self = shared_from_this()](const ErrorCodeOf& error, size_t bytes) {
    self->reading_ = false;
    self->OnRead(error, bytes);
  });
}

void Wire::OnRead(const ErrorCodeOf& error, size_t bytes) {
  if (closed_) return;
  last_ = std::chrono::steady_clock::now();
  if (error) {
    if (finishing_ && waiting() > 0) return;  // it reads on, though it says no more
    End();
  }
  Deliver({buffer_.data(), bytes});
  Read();
}

// Meanwhile nothing is read, whatever the user asks for: it would be into what the user is looking at.
void Wire::Deliver(std::string_view bytes) {
  delivering_ = true;
  if (const auto user = user_) user->OnBytes(bytes);
  delivering_ = false;
}

void Wire::End() {
  Abort();
  if (const auto user = std::exchange(user_, nullptr)) user->OnEnd();
}

void Wire::Write(std::string_view head, std::string_view body) {
  if (closed_ || finishing_) return;
  next_.append(head).append(body);
  if (!has_room()) full_ = true;
  WriteNext();
}

void Wire::WriteNext() {
  if (!writing_.empty() || next_.empty() || closed_) return;
  std::swap(writing_, next_);
  stream_->Write(asio::buffer(writing_),
                 [self = shared_from_this()](const ErrorCodeOf& error, size_t) { self->OnWritten(error); });
}

void Wire::OnWritten(const ErrorCodeOf& error) {
  writing_.clear();
  if (writing_.capacity() > kKeepBytes && next_.capacity() <= kKeepBytes) writing_.shrink_to_fit();
  if (closed_) return;
  if (error) {
    End();
  }
  last_ = std::chrono::steady_clock::now();
  WriteNext();
  if (finishing_ && waiting() == 0) return Linger();
  if (!full_ || !has_room()) return;
  full_ = false;
  if (const auto user = user_) user->OnRoom();
}

void Wire::PauseReading(bool on) {
  paused_ = on;
  if (!on && user_ != nullptr) Read();
}

void Wire::Finish() {
  if (finishing_ || closed_) return;
  finishing_ = true;
  user_ = nullptr;
  if (waiting() == 0) return Linger();
  AbortAfter(kLastWrites);
}

void Wire::AbortAfter(std::chrono::seconds limit) {
  timer_.expires_after(limit);
  timer_.async_wait([self = shared_from_this()](const ErrorCodeOf& error) {
    if (!error) self->Abort();
  });
}

// A socket that is closed with bytes unread resets the connection, and the peer may lose what it has not read yet.
void Wire::Linger() {
  AbortAfter(kLinger);
  stream_->End([self = shared_from_this()](const ErrorCodeOf&, size_t) {});
  paused_ = false;
  Read();
}

void Wire::Abort() {
  if (closed_) return;
  closed_ = true;
  timer_.cancel();
  ErrorCodeOf ignored;
  stream_->socket().close(ignored);
  if (finishing_) user_ = nullptr;
}

void Wire::WatchIdle() {
  timer_.expires_at(last_ + idle_);
  timer_.async_wait([weak = weak_from_this()](const ErrorCodeOf& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->closed_ || self->finishing_) return;
    if (std::chrono::steady_clock::now() < self->last_ + self->idle_) return self->WatchIdle();
    self->End();
  });
}

}  // namespace fermata::cri::streaming
