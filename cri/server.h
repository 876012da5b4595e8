// How a gRPC call becomes a call of ours and its Result an answer. Callback API of gRPC: a handler that may
// wait runs on the task pool, one that only looks at memory runs at once, so no wait holds up Version, Status
// or List.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "cri/call.h"
#include "cri/status.h"
#include "overlay/cancellation.h"
#include "runtime/base/task_pool.h"

namespace fermata::cri {

// Runs `handler` (Result<>()) now; for what never blocks.
template <typename Handler>
grpc::ServerUnaryReactor* ServeNow(const char* name, grpc::CallbackServerContext* context, Handler&& handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(RunCall(name, Operation::Clock::now(), CallKind::kShort, std::forward<Handler>(handler)));
  return reactor;
}

// Runs `handler` on the pool; request and response live until the reactor has finished.
template <typename Handler>
grpc::ServerUnaryReactor* Serve(const char* name, grpc::CallbackServerContext* context, TaskPool& tasks,
                                Handler&& handler) {
  const auto begin = Operation::Clock::now();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  tasks.Post([name, begin, reactor, handler = std::forward<Handler>(handler)] {
    reactor->Finish(RunCall(name, begin, CallKind::kShort, handler));
  });
  return reactor;
}

// A unary call that waits for the world outside: `handler` runs on the pool and is to end soon after its cancellation,
// which a client that goes away brings about. Deletes itself when gRPC is done with it.
class LongCall : public grpc::ServerUnaryReactor {
 public:
  using Cancellation = std::shared_ptr<const overlay::Cancellation>;
  using Handler = std::function<Result<>(const Cancellation&)>;

  LongCall(const char* name, TaskPool& tasks, Handler handler) {
    auto cancellation = overlay::Cancellation::Make();
    if (!cancellation) {
      Finish(ToStatus(cancellation.error()));
      return;
    }
    cancellation_ = std::move(cancellation).value();
    tasks.Post([this, name, handler = std::move(handler)] {
      Finish(RunCall(name, Operation::Clock::now(), CallKind::kLong, [&] { return handler(cancellation_); }));
    });
  }
  void OnCancel() override {
    if (cancellation_ != nullptr) cancellation_->Cancel();
  }
  void OnDone() override { delete this; }

 private:
  std::shared_ptr<overlay::Cancellation> cancellation_;
};

inline grpc::Status Unimplemented(const char* name) {
  return {grpc::StatusCode::UNIMPLEMENTED, std::string(name) + " is not implemented"};
}

// A server stream written by blocking code on the pool. Deletes itself when gRPC is done with it.
template <typename Message>
class StreamWriter : public grpc::ServerWriteReactor<Message> {
 public:
  using Body = std::function<Result<>(StreamWriter&)>;

  StreamWriter(const char* name, TaskPool& tasks, Body body) {
    tasks.Post([this, name, body = std::move(body)] {
      this->Finish(RunCall(name, Operation::Clock::now(), CallKind::kLong, [&] { return body(*this); }));
    });
  }

  // Returns when the message is on its way; false: the client has gone, stop.
  bool Write(const Message& message) {
    std::unique_lock lock(mutex_);
    if (cancelled_) return false;
    writing_ = true;
    lock.unlock();
    this->StartWrite(&message);
    lock.lock();
    changed_.wait(lock, [this] { return !writing_; });
    return ok_;
  }
  [[nodiscard]] bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  // Called when the client goes away; must not block.
  void OnGone(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      ok_ = ok;
    }
    changed_.notify_all();
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (wake_) wake_();  // with the lock, so that OnGone({}) returns only when nobody uses the old one any more
  }
  void OnDone() override { delete this; }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::function<void()> wake_;
  bool writing_ = false;
  bool ok_ = true;
  bool cancelled_ = false;
};

// A client stream read by blocking code on the pool. Deletes itself when gRPC is done with it.
template <typename Message>
class StreamReader : public grpc::ServerReadReactor<Message> {
 public:
  using Body = std::function<Result<>(StreamReader&)>;

  StreamReader(const char* name, TaskPool& tasks, Body body) {
    tasks.Post([this, name, body = std::move(body)] {
      this->Finish(RunCall(name, Operation::Clock::now(), CallKind::kLong, [&] { return body(*this); }));
    });
  }

  // False at the end of the stream, also when the client has gone away.
  bool Read(Message* message) {
    {
      const std::lock_guard lock(mutex_);
      reading_ = true;
    }
    this->StartRead(message);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !reading_; });
    return ok_;
  }
  [[nodiscard]] bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      reading_ = false;
      ok_ = ok;
    }
    changed_.notify_all();
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  void OnDone() override { delete this; }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool reading_ = false;
  bool ok_ = false;
  bool cancelled_ = false;
};

}  // namespace fermata::cri
