// GetContainerEvents: a stream without end, and without a thread.
#include <memory>
#include <mutex>

#include "cri/convert_stats.h"
#include "cri/runtime_service.h"
#include "cri/server.h"

namespace fermata::cri {
namespace {

// One follower. At most one event is on its way to the client; the others stay in the hub's log, which waits for
// nobody. It keeps itself alive until gRPC is done with it.
class EventStream final : public grpc::ServerWriteReactor<v1::ContainerEventResponse>,
                          public sandbox::EventHub::Listener,
                          public std::enable_shared_from_this<EventStream> {
 public:
  explicit EventStream(Visibility visible) : visible_(visible) {}

  void Follow(sandbox::EventHub& hub) {
    const std::lock_guard lock(mutex_);
    self_ = shared_from_this();
    // The client shall know that it is heard from here on, also when nothing happens for long.
    StartSendInitialMetadata();
    subscription_ = hub.Subscribe(self_);
  }

  void OnNews() override {
    const std::lock_guard lock(mutex_);
    if (subscription_ == nullptr) return;
    if (!writing_) return WriteNext();
    if (const auto lost = subscription_->Check(); !lost) End(ToStatus(lost.error()));
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (subscription_ == nullptr) return;
    ok ? WriteNext() : End({grpc::StatusCode::CANCELLED, "the client has gone"});
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    if (subscription_ != nullptr) End({grpc::StatusCode::CANCELLED, "the client has gone"});
  }
  void OnDone() override { self_ = nullptr; }

 private:
  // Both with mutex_ held, so that no write begins after the end: gRPC queues, it does not wait, and calls back from
  // threads of its own.
  void WriteNext() {
    for (;;) {
      auto event = subscription_->Next();
      if (!event) return End(ToStatus(event.error()));
      if (*event == nullptr) return;
      if (!visible_.Shows((*event)->owner)) continue;
      message_ = ToContainerEvent(**event);
      writing_ = true;
      StartWrite(&message_);
      return;
    }
  }
  // A write that the client does not take may still be under way: the status goes out behind it.
  void End(const grpc::Status& status) {
    log::debug("GetContainerEvents ends: {}", status.error_message());
    subscription_ = nullptr;
    Finish(status);
  }

  const Visibility visible_;
  std::mutex mutex_;                                               // guards all below
  std::unique_ptr<sandbox::EventHub::Subscription> subscription_;  // nullptr: ended
  v1::ContainerEventResponse message_;
  bool writing_ = false;
  std::shared_ptr<EventStream> self_;
};

}  // namespace

grpc::ServerWriteReactor<v1::ContainerEventResponse>* RuntimeService::GetContainerEvents(grpc::CallbackServerContext*,
                                                                                         const v1::GetEventsRequest*) {
  const auto stream = std::make_shared<EventStream>(visible_);
  stream->Follow(*engine_.events);
  return stream.get();
}

}  // namespace fermata::cri
