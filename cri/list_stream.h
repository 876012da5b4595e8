// ListStream: a list that was made at one moment, sent as a server stream. It holds no thread while the client reads:
// one that never does costs what is left of its list, until it goes away.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cri/server.h"

namespace fermata::cri {

// Far below the 16 MiB that clients take; an item alone may be longer.
constexpr size_t kChunkBytes = size_t{512} << 10;

// The items, each in one message, in order. No item, no message.
template <typename Message, typename Item>
std::vector<Message> InChunks(std::vector<Item> items, google::protobuf::RepeatedPtrField<Item>* (Message::*field)(),
                              size_t chunk_bytes = kChunkBytes) {
  std::vector<Message> chunks;
  size_t bytes = 0;
  for (Item& item : items) {
    const size_t size = item.ByteSizeLong();
    if (chunks.empty() || bytes + size > chunk_bytes) {
      chunks.emplace_back();
      bytes = 0;
    }
    bytes += size;
    *(chunks.back().*field)()->Add() = std::move(item);
  }
  return chunks;
}

// Deletes itself when gRPC is done with it.
template <typename Message>
class ListStream final : public grpc::ServerWriteReactor<Message> {
 public:
  using Body = std::function<std::vector<Message>()>;

  // `body` runs on the pool.
  ListStream(const char* name, TaskPool& tasks, Body body) {
    tasks.Post([this, name, body = std::move(body)] {
      (void)RunCall(name, Operation::Clock::now(), CallKind::kShort, [&]() -> Result<> {
        chunks_ = body();
        return {};
      });  // cannot fail
      WriteNext();
    });
  }

  void OnWriteDone(bool ok) override {
    chunks_[next_ - 1].Clear();
    if (ok) {
      WriteNext();
    } else {
      this->Finish({grpc::StatusCode::CANCELLED, "the client has gone"});
    }
  }
  void OnDone() override { delete this; }

 private:
  // Never two at a time: gRPC tells of the end of a write before the next one begins.
  void WriteNext() {
    if (next_ == chunks_.size()) {
      this->Finish(grpc::Status::OK);
    } else {
      this->StartWrite(&chunks_[next_++]);
    }
  }

  std::vector<Message> chunks_;
  size_t next_ = 0;
};
template <typename Body>
ListStream(const char*, TaskPool&, Body) -> ListStream<typename std::invoke_result_t<Body>::value_type>;

}  // namespace fermata::cri
