#include "overlay/registry/http.h"

#include <curl/curl.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "overlay/registry/http_transfer.h"

namespace fermata::overlay {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// The event loop: who waits for a turn, who is on the way, what others asked of it.
class CurlLoop : public HttpLoop {
 public:
  explicit CurlLoop(const HttpLimits& limits) : limits_(limits), multi_(::curl_multi_init()) {
    (void)::curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 32L);
    (void)::curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, 0L);  // counted here, see Admit
  }
  ~CurlLoop() override {
    transfers_.clear();
    (void)::curl_multi_cleanup(multi_);
  }

  void Run(const std::stop_token& stop);
  void Start(std::shared_ptr<HttpExchange> exchange) { Post({Command::kStart, std::move(exchange)}); }
  void Resume(const std::shared_ptr<HttpExchange>& exchange) override { Post({Command::kResume, exchange}); }
  void Abort(const std::shared_ptr<HttpExchange>& exchange) override { Post({Command::kAbort, exchange}); }
  void WakeUp() { (void)::curl_multi_wakeup(multi_); }  // fails when it is awake anyway

 private:
  struct Command {
    enum Kind : uint8_t { kStart, kResume, kAbort } kind;
    std::shared_ptr<HttpExchange> exchange;
  };
  using Transfers = std::map<const HttpExchange*, std::unique_ptr<HttpTransfer>>;

  static bool IsCounted(const HttpExchange& exchange) {
    return exchange.request().stream || exchange.request().upload != nullptr;
  }
  void Post(Command command) {
    {
      const std::lock_guard lock(mutex_);
      commands_.push_back(std::move(command));
    }
    WakeUp();
  }
  void Obey();
  void Admit();
  void Launch(const std::shared_ptr<HttpExchange>& exchange);
  void TakeResults();
  void EndTheLate();
  void End(Transfers::iterator transfer, std::optional<Error> failure);
  void Wait();

  const HttpLimits limits_;
  CURLM* const multi_;
  std::mutex mutex_;
  std::deque<Command> commands_;  // mutex_
  // The thread's own.
  std::deque<std::shared_ptr<HttpExchange>> waiting_;
  Transfers transfers_;
  std::map<std::string, size_t> streams_;  // under way, by origin
};

void CurlLoop::Run(const std::stop_token& stop) {
  // Signals are for other threads; SIGPIPE by a write to a closed connection for none.
  sigset_t all;
  ::sigfillset(&all);
  (void)::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (!stop.stop_requested()) {
    Obey();
    Admit();
    int running = 0;
    (void)::curl_multi_perform(multi_, &running);
    TakeResults();
    EndTheLate();
    Wait();
  }
  Obey();
  const Error ended = Error::Make(ErrorCode::kCancelled, "the registry client ends");
  for (const auto& exchange : waiting_) exchange->Finish(ended);
  while (!transfers_.empty()) End(transfers_.begin(), ended);
}

void CurlLoop::Obey() {
  std::deque<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const Command& command : commands) {
    const auto transfer = transfers_.find(command.exchange.get());
    if (command.kind == Command::kStart) {
      waiting_.push_back(command.exchange);
    } else if (command.kind == Command::kAbort) {
      std::erase(waiting_, command.exchange);
      if (transfer != transfers_.end()) End(transfer, Error::Make(ErrorCode::kCancelled, "cancelled"));
    } else if (transfer != transfers_.end()) {
      transfer->second->Resume();
    }
  }
}

// A limit of our own, because libcurl lets its connect time-out run while a request waits for a connection.
void CurlLoop::Admit() {
  std::erase_if(waiting_, [this](const std::shared_ptr<HttpExchange>& exchange) {
    if (exchange->request().stops.stopped()) {
      exchange->Finish(Error::Make(ErrorCode::kCancelled, "cancelled"));
      return true;
    }
    if (IsCounted(*exchange)) {
      size_t& streams = streams_[exchange->request().url.Origin()];
      if (streams >= limits_.streams_per_origin) return false;
      ++streams;
    }
    Launch(exchange);
    return true;
  });
}

void CurlLoop::Launch(const std::shared_ptr<HttpExchange>& exchange) {
  const auto [transfer, fresh] = transfers_.emplace(exchange.get(), std::make_unique<HttpTransfer>(exchange, limits_));
  CURL* handle = transfer->second->handle();
  if (handle == nullptr || ::curl_multi_add_handle(multi_, handle) != CURLM_OK) {
    End(transfer, Error::Make(ErrorCode::kResourceExhausted, "curl: no handle"));
  }
}

void CurlLoop::TakeResults() {
  int left = 0;
  while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* data = nullptr;
    const CURLcode code = message->data.result;  // the message goes with the handle
    (void)::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &data);
    const auto& done = *reinterpret_cast<const HttpTransfer*>(data);
    End(transfers_.find(done.exchange().get()), done.Outcome(code));
  }
}

void CurlLoop::EndTheLate() {
  const auto now = Clock::now();
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    const auto transfer = it++;
    if (transfer->first->request().stops.stopped()) {
      End(transfer, Error::Make(ErrorCode::kCancelled, "cancelled"));
    } else if (const auto deadline = transfer->second->deadline(); deadline && *deadline <= now) {
      End(transfer, transfer->second->TimeoutError());
    }
  }
}

void CurlLoop::End(Transfers::iterator transfer, std::optional<Error> failure) {
  const std::shared_ptr<HttpExchange> exchange = transfer->second->exchange();
  (void)::curl_multi_remove_handle(multi_, transfer->second->handle());  // fails for one that was never added
  transfers_.erase(transfer);
  if (IsCounted(*exchange)) {
    const auto streams = streams_.find(exchange->request().url.Origin());
    if (--streams->second == 0) streams_.erase(streams);
    WakeUp();  // somebody may have waited for the turn
  }
  exchange->Finish(std::move(failure));
}

// Until something happens on a connection, somebody asks for something, a cause to stop appears or it is too late.
void CurlLoop::Wait() {
  std::vector<int> fds;
  auto until = Clock::now() + std::chrono::hours(1);
  const auto add_stops = [&](const HttpExchange& exchange) {
    for (const auto& cause : exchange.request().stops.causes) fds.push_back(cause->fd());
  };
  for (const auto& [exchange, transfer] : transfers_) {
    add_stops(*exchange);
    if (const auto deadline = transfer->deadline()) until = std::min(until, *deadline);
  }
  for (const auto& exchange : waiting_) add_stops(*exchange);
  std::sort(fds.begin(), fds.end());
  fds.erase(std::unique(fds.begin(), fds.end()), fds.end());
  std::vector<curl_waitfd> entries;
  entries.reserve(fds.size());
  for (const int fd : fds) entries.push_back({fd, CURL_WAIT_POLLIN, 0});
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  (void)::curl_multi_poll(multi_, entries.data(), static_cast<unsigned>(entries.size()),
                          static_cast<int>(std::max<int64_t>(left.count(), 0)), nullptr);
}

HttpTransport::HttpTransport(const HttpLimits& limits) {
  static const CURLcode initialized = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;  // fails when no memory is left at the start of the program
  loop_ = std::make_shared<CurlLoop>(limits);
  thread_ = std::jthread([loop = loop_.get()](const std::stop_token& stop) { loop->Run(stop); });
}

HttpTransport::~HttpTransport() {
  thread_.request_stop();
  loop_->WakeUp();
}

Result<std::unique_ptr<HttpResponse>> HttpTransport::Send(HttpRequest request) {
  auto exchange = std::make_shared<HttpExchange>(std::move(request));
  auto response = std::make_unique<HttpResponse>(loop_, exchange);  // its end is the exchange's, also after an error
  loop_->Start(exchange);
  std::vector<char> buffer(exchange->request().upload != nullptr ? size_t{256} << 10 : 0);
  for (uint64_t left = exchange->request().upload != nullptr ? exchange->request().upload_bytes : 0; left > 0;) {
    const std::span<char> room(buffer.data(), std::min<uint64_t>(buffer.size(), left));
    ASSIGN_OR_RETURN(const size_t count, exchange->request().upload->Read(room), "read what is to be sent");
    if (count == 0) return Error::Make(ErrorCode::kInvalidArgument, "what is to be sent ends too early");
    left -= count;
    bool resume = false;
    if (!exchange->GiveUpload({buffer.data(), count}, resume)) break;
    if (resume) loop_->Resume(exchange);
  }
  RETURN_IF_ERROR(exchange->AwaitHeaders());
  return response;
}

}  // namespace fermata::overlay
