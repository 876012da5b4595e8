#include "sandbox/probe/transfer_loop.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <map>

namespace fermata::sandbox::probe {
namespace {

using Clock = std::chrono::steady_clock;

// Fails for want of memory only, or for what no libcurl of ours lacks.
template <typename Value>
void Set(CURL* handle, CURLoption option, Value value) {
  (void)::curl_easy_setopt(handle, option, value);
}

struct CurlDelete {
  void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

// One transfer under way.
class Flight {
 public:
  Flight(Transfer transfer, TransferLoop::Done done);
  [[nodiscard]] CURL* handle() const { return handle_.get(); }
  void End(CURLM* multi, CURLcode code);

 private:
  void Configure();
  static curl_socket_t OpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int SetUpSocket(void* self, curl_socket_t socket, curlsocktype purpose);
  static size_t OnBody(const char* data, size_t size, size_t count, void* self);
  [[nodiscard]] TransferEnd EndOf(CURLcode code) const;

  Transfer transfer_;
  TransferLoop::Done done_;
  std::unique_ptr<curl_slist, CurlDelete> headers_;
  std::string body_;
  bool cut_ = false;  // the rest of the body is not wanted
  char error_text_[CURL_ERROR_SIZE] = {};
  std::unique_ptr<CURL, CurlDelete> handle_;  // ends first
};

Flight::Flight(Transfer transfer, TransferLoop::Done done)
    : transfer_(std::move(transfer)), done_(std::move(done)), handle_(::curl_easy_init()) {
  if (handle_ != nullptr) Configure();
}

void Flight::Configure() {
  CURL* const handle = handle_.get();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(transfer_.deadline - Clock::now());
  Set(handle, CURLOPT_PRIVATE, this);
  Set(handle, CURLOPT_URL, transfer_.url.c_str());
  Set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  Set(handle, CURLOPT_PATH_AS_IS, 1L);
  Set(handle, CURLOPT_NOSIGNAL, 1L);
  Set(handle, CURLOPT_QUICK_EXIT, 1L);  // or the end would wait for a name that does not resolve
  Set(handle, CURLOPT_PROXY, "");
  Set(handle, CURLOPT_FOLLOWLOCATION, 0L);
  Set(handle, CURLOPT_FORBID_REUSE, transfer_.connect_only ? 0L : 1L);  // it would be closed before we have it
  Set(handle, CURLOPT_FRESH_CONNECT, 1L);
  Set(handle, CURLOPT_SSL_VERIFYPEER, 0L);
  Set(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  Set(handle, CURLOPT_TIMEOUT_MS, std::max<long>(1, left.count()));
  Set(handle, CURLOPT_CONNECT_ONLY, transfer_.connect_only ? 1L : 0L);
  Set(handle, CURLOPT_ERRORBUFFER, error_text_);
  Set(handle, CURLOPT_SOCKOPTFUNCTION, SetUpSocket);
  Set(handle, CURLOPT_WRITEFUNCTION, OnBody);
  Set(handle, CURLOPT_WRITEDATA, this);
  if (transfer_.socket != nullptr) {
    Set(handle, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
    Set(handle, CURLOPT_OPENSOCKETDATA, this);
  }
  for (const std::string& header : transfer_.headers) {
    headers_.reset(::curl_slist_append(headers_.release(), header.c_str()));
  }
  Set(handle, CURLOPT_HTTPHEADER, headers_.get());
}

curl_socket_t Flight::OpenSocket(void* self, curlsocktype, curl_sockaddr*) {
  UniqueFd& socket = *static_cast<Flight*>(self)->transfer_.socket;
  return socket.valid() ? socket.Release() : CURL_SOCKET_BAD;  // for one connection only
}

// As kubelet: a closed connection holds its port for a second, not for a minute.
int Flight::SetUpSocket(void*, curl_socket_t socket, curlsocktype) {
  const linger wait{1, 1};
  (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &wait, sizeof wait);
  (void)::fcntl(socket, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

size_t Flight::OnBody(const char* data, size_t size, size_t count, void* self) {
  auto& flight = *static_cast<Flight*>(self);
  const size_t bytes = size * count;
  const size_t taken = std::min(bytes, kMaxBodyBytes - flight.body_.size());
  flight.body_.append(data, taken);
  flight.cut_ = taken < bytes;
  return taken;  // fewer than there are end the transfer
}

TransferEnd Flight::EndOf(CURLcode code) const {
  TransferEnd end;
  CURL* const handle = handle_.get();
  (void)::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &end.status);
  end.body = body_;
  if (code == CURLE_OK || cut_) {
    end.kind = TransferEnd::Kind::kDone;
    char* location = nullptr;
    (void)::curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &location);
    if (location != nullptr) end.location = location;
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (transfer_.connect_only && ::curl_easy_getinfo(handle, CURLINFO_ACTIVESOCKET, &socket) == CURLE_OK) {
      end.connection.Reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
    }
    return end;
  }
  curl_off_t first_byte = 0;
  (void)::curl_easy_getinfo(handle, CURLINFO_STARTTRANSFER_TIME_T, &first_byte);
  const bool answered = end.status != 0 && first_byte > 0;
  end.kind = answered ? TransferEnd::Kind::kBodyBroken : TransferEnd::Kind::kNoAnswer;
  end.error = error_text_[0] != '\0' ? error_text_ : ::curl_easy_strerror(code);
  return end;
}

void Flight::End(CURLM* multi, CURLcode code) {
  TransferEnd end = EndOf(code);  // before it leaves the others: then its connection is closed
  if (handle_ != nullptr) (void)::curl_multi_remove_handle(multi, handle_.get());
  handle_.reset();
  done_(std::move(end));
}

}  // namespace

class TransferLoop::Core {
 public:
  Core() : multi_(::curl_multi_init()) {}
  ~Core() { (void)::curl_multi_cleanup(multi_); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void Run();
  void Start(Transfer transfer, Done done);
  void End();

 private:
  struct Request {
    Transfer transfer;
    Done done;
  };
  bool TakeRequests();  // false: the loop is to end
  void TakeResults();
  void Finish(CURL* handle, CURLcode code);

  CURLM* const multi_;
  std::mutex mutex_;  // guards what follows
  std::deque<Request> requests_;
  bool ending_ = false;
  // The thread's own.
  std::map<CURL*, std::unique_ptr<Flight>> flights_;
};

void TransferLoop::Core::Start(Transfer transfer, Done done) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back({std::move(transfer), std::move(done)});  // after the end nobody looks, and nobody waits
  }
  (void)::curl_multi_wakeup(multi_);  // fails when it is awake anyway
}

void TransferLoop::Core::End() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  (void)::curl_multi_wakeup(multi_);
}

bool TransferLoop::Core::TakeRequests() {
  std::deque<Request> requests;
  bool ending = false;
  {
    const std::lock_guard lock(mutex_);
    requests.swap(requests_);
    ending = ending_;
  }
  for (Request& request : requests) {
    auto flight = std::make_unique<Flight>(std::move(request.transfer), std::move(request.done));
    CURL* const handle = flight->handle();
    if (ending || handle == nullptr || ::curl_multi_add_handle(multi_, handle) != CURLM_OK) {
      flight->End(multi_, CURLE_FAILED_INIT);
    } else {
      flights_[handle] = std::move(flight);
    }
  }
  return !ending;
}

void TransferLoop::Core::Finish(CURL* handle, CURLcode code) {
  const auto found = flights_.find(handle);
  const std::unique_ptr<Flight> flight = std::move(found->second);
  flights_.erase(found);
  flight->End(multi_, code);
}

void TransferLoop::Core::TakeResults() {
  int left = 0;
  while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) Finish(message->easy_handle, message->data.result);
  }
}

void TransferLoop::Core::Run() {
  sigset_t all;  // signals are for other threads; SIGPIPE by a write to a closed connection for none
  ::sigfillset(&all);
  (void)::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  constexpr int kLongMs = 60'000;  // it is woken when something happens
  while (TakeRequests()) {
    int running = 0;
    (void)::curl_multi_perform(multi_, &running);
    TakeResults();
    (void)::curl_multi_poll(multi_, nullptr, 0, kLongMs, nullptr);
  }
  while (!flights_.empty()) Finish(flights_.begin()->first, CURLE_ABORTED_BY_CALLBACK);
}

TransferLoop::TransferLoop() : core_(std::make_unique<Core>()) {
  thread_ = std::thread([this] { core_->Run(); });
}

TransferLoop::~TransferLoop() {
  core_->End();
  thread_.join();
}

void TransferLoop::Start(Transfer transfer, Done done) { core_->Start(std::move(transfer), std::move(done)); }

}  // namespace fermata::sandbox::probe
