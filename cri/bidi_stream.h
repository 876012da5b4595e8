// BidiStream: a stream of gRPC in both directions, whose messages are handled one after the other on an executor. Keeps
// itself until gRPC is done with it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <memory>
#include <utility>

namespace fermata::cri {

template <typename In, typename Out>
class BidiStream : public grpc::ServerBidiReactor<In, Out>, public std::enable_shared_from_this<BidiStream<In, Out>> {
 public:
  static constexpr size_t kRoomBytes = size_t{256} << 10;

  explicit BidiStream(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // On the executor. After OnGone no call comes.
  virtual void OnMessage(const In& message) = 0;
  virtual void OnClientEnd() = 0;  // no more messages
  virtual void OnGone() = 0;       // the client has left, or the daemon ends
  virtual void OnWritable() = 0;

  // Begins to read. Call once, when a shared_ptr holds it.
  void Begin() {
    self_ = this->shared_from_this();
    this->StartRead(&in_);
  }
  void Send(Out message, size_t bytes) {
    if (finished_) return;
    waiting_ += bytes;
    out_.emplace_back(std::move(message), bytes);
    WriteNext();
  }
  [[nodiscard]] bool HasOutRoom() const { return waiting_ < kRoomBytes; }
  void PauseReading(bool on) {
    paused_ = on;
    if (!on && read_due_) {
      read_due_ = false;
      this->StartRead(&in_);
    }
  }
  // When all is sent.
  void EndWith(grpc::Status status) {
    if (finished_) return;
    finished_ = true;
    status_ = std::move(status);
    if (!writing_) this->Finish(status_);
  }
  [[nodiscard]] const boost::asio::any_io_executor& executor() const { return executor_; }

  void OnReadDone(bool ok) final {
    Post([this, ok] {
      if (finished_) return;
      if (!ok) return OnClientEnd();
      OnMessage(in_);
      if (finished_) return;
      if (paused_) {
        read_due_ = true;
      } else {
        this->StartRead(&in_);
      }
    });
  }
  void OnWriteDone(bool ok) final {
    Post([this, ok] {
      writing_ = false;
      if (!ok) out_.clear();
      if (!out_.empty()) {
        waiting_ -= out_.front().second;
        out_.pop_front();
      }
      if (!out_.empty()) return WriteNext();
      if (finished_) return this->Finish(status_);
      OnWritable();
    });
  }
  void OnCancel() final {
    Post([this] {
      if (finished_) return;
      OnGone();
      EndWith(grpc::Status::CANCELLED);
    });
  }
  void OnDone() final {
    Post([this] { self_.reset(); });
  }

 private:
  template <typename Work>
  void Post(Work work) {
    boost::asio::post(executor_, [self = self_, work = std::move(work)] { work(); });
  }
  void WriteNext() {
    if (writing_ || out_.empty()) return;
    writing_ = true;
    this->StartWrite(&out_.front().first);
  }

  boost::asio::any_io_executor executor_;
  std::shared_ptr<BidiStream> self_;
  In in_;
  std::deque<std::pair<Out, size_t>> out_;
  size_t waiting_ = 0;
  grpc::Status status_;
  bool writing_ = false;
  bool paused_ = false;
  bool read_due_ = false;
  bool finished_ = false;
};

}  // namespace fermata::cri
