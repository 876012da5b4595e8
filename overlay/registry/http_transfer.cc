#include "overlay/registry/http_transfer.h"
#include "runtime/base/metrics.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>

namespace fermata::overlay {
namespace {

metrics::Family received(metrics::Kind::kCounter, "fermata_registry_received_bytes_total",
                         "Bytes of answers of registries, their heads not counted");

using Clock = std::chrono::steady_clock;
using DataFunction = size_t (*)(char* data, size_t size, size_t count, void* self);

constexpr size_t kMaxHeaderBytes = size_t{64} << 10;
// Less than this in a whole no-progress time is no progress: else a byte a second would hold a pull for years.
constexpr size_t kProgressBytes = 4096;

// Fails for want of memory only, or for what no libcurl of ours lacks.
template <typename Value>
void Set(CURL* handle, CURLoption option, Value value) {
  (void)::curl_easy_setopt(handle, option, value);
}

// libcurl's own would stay open in programs that the daemon starts.
curl_socket_t OpenSocket(void*, curlsocktype, curl_sockaddr* address) {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace

HttpTransfer::HttpTransfer(std::shared_ptr<HttpExchange> exchange, const HttpLimits& limits)
    : exchange_(std::move(exchange)), limits_(limits), handle_(::curl_easy_init()), error_text_(CURL_ERROR_SIZE) {
  if (handle_ != nullptr) Configure();
}

HttpTransfer::~HttpTransfer() {
  ::curl_easy_cleanup(handle_);
  ::curl_slist_free_all(headers_);
}

void HttpTransfer::Resume() {
  if (has_headers_ || exchange_->request().upload != nullptr) StartWindow();
  (void)::curl_easy_pause(handle_, CURLPAUSE_CONT);  // fails with the transfer, which then says so itself
}

void HttpTransfer::StartWindow() {
  window_bytes_ = 0;
  deadline_ = Clock::now() + limits_.no_progress_timeout;
}

void HttpTransfer::CountProgress(size_t bytes) {
  window_bytes_ += bytes;
  if (window_bytes_ >= kProgressBytes) StartWindow();
}

void HttpTransfer::OnConnected() { deadline_ = Clock::now() + limits_.response_timeout; }

void HttpTransfer::Configure() {
  const HttpRequest& request = exchange_->request();
  Set(handle_, CURLOPT_PRIVATE, this);
  Set(handle_, CURLOPT_URL, request.url.ToString().c_str());
  Set(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(handle_, CURLOPT_FOLLOWLOCATION, 0L);
  Set(handle_, CURLOPT_NOSIGNAL, 1L);
  Set(handle_, CURLOPT_QUICK_EXIT,
      1L);  // or the end of a request would wait for its DNS look-up, and all others with it
  Set(handle_, CURLOPT_ERRORBUFFER, error_text_.data());
  Set(handle_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_timeout.count()));
  Set(handle_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  Set(handle_, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  Set(handle_, CURLOPT_PATH_AS_IS, 1L);
  Set(handle_, CURLOPT_BUFFERSIZE, 128L << 10);
  const bool alone = request.stream || request.upload != nullptr;
  Set(handle_, CURLOPT_HTTP_VERSION, static_cast<long>(alone ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
  if (request.url.IsLoopback()) Set(handle_, CURLOPT_PROXY, "");
  for (const auto& [name, value] : request.headers) {
    headers_ = ::curl_slist_append(headers_, (name + ": " + value).c_str());
  }
  headers_ = ::curl_slist_append(headers_, "Expect:");
  Set(handle_, CURLOPT_HTTPHEADER, headers_);
  Set(handle_, CURLOPT_USERAGENT, "fermata");
  ConfigureTls();
  ConfigureBody();
  ConfigureCallbacks();
}

void HttpTransfer::ConfigureCallbacks() {
  Set(handle_, CURLOPT_PREREQDATA, this);
  Set(handle_, CURLOPT_PREREQFUNCTION, static_cast<curl_prereq_callback>([](void* self, char*, char*, int, int) {
        static_cast<HttpTransfer*>(self)->OnConnected();
        return CURL_PREREQFUNC_OK;
      }));
  Set(handle_, CURLOPT_HEADERDATA, this);
  Set(handle_, CURLOPT_HEADERFUNCTION, static_cast<DataFunction>([](char* data, size_t size, size_t count, void* self) {
        const size_t bytes = size * count;
        return static_cast<HttpTransfer*>(self)->OnHeaderLine({data, bytes}) ? bytes : size_t{0};
      }));
  Set(handle_, CURLOPT_WRITEDATA, this);
  Set(handle_, CURLOPT_WRITEFUNCTION, static_cast<DataFunction>([](char* data, size_t size, size_t count, void* self) {
        return static_cast<HttpTransfer*>(self)->OnBody({data, size * count});
      }));
}

void HttpTransfer::ConfigureTls() {
  const HttpTls& tls = exchange_->request().tls;
  Set(handle_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  Set(handle_, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  Set(handle_, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca_pem.empty()) {
    // Takes the place of the bundle of the system, but not of its directory, which has the same certificates.
    curl_blob blob{const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(), CURL_BLOB_COPY};
    Set(handle_, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (tls.client_cert.empty()) return;
  Set(handle_, CURLOPT_SSLCERT, tls.client_cert.c_str());
  Set(handle_, CURLOPT_SSLKEY, (tls.client_key.empty() ? tls.client_cert : tls.client_key).c_str());
}

void HttpTransfer::ConfigureBody() {
  const HttpRequest& request = exchange_->request();
  if (request.method == "HEAD") {
    Set(handle_, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.upload != nullptr) {
    Set(handle_, CURLOPT_UPLOAD, 1L);
    Set(handle_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.upload_bytes));
    Set(handle_, CURLOPT_READDATA, this);
    Set(handle_, CURLOPT_READFUNCTION, static_cast<DataFunction>([](char* data, size_t size, size_t count, void* self) {
          return static_cast<HttpTransfer*>(self)->OnUpload({data, size * count});
        }));
  } else if (request.method != "GET") {
    Set(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    Set(handle_, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "GET") Set(handle_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

bool HttpTransfer::OnHeaderLine(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    own_error_ = Error::Make(ErrorCode::kInvalidArgument, "the headers of the answer are longer than 64 KiB");
    return false;
  }
  if (has_headers_) return true;  // trailers
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    long status = 0;
    (void)::curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    status_ = static_cast<int>(status);
    answer_headers_.clear();
    return true;
  }
  if (line.empty()) {
    if (status_ < 200) return true;  // 1xx: the answer is still to come
    has_headers_ = true;
    StartWindow();
    exchange_->OnHeaders(status_, std::move(answer_headers_));
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const size_t value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
  answer_headers_.emplace_back(std::move(name), line.substr(value));
  return true;
}

size_t HttpTransfer::OnBody(std::string_view data) {
  if (!exchange_->OnBody(data)) {
    deadline_.reset();
    return CURL_WRITEFUNC_PAUSE;
  }
  received.With().Add(static_cast<int64_t>(data.size()));
  CountProgress(data.size());
  return data.size();
}

size_t HttpTransfer::OnUpload(std::span<char> buffer) {
  if (uploaded_ == exchange_->request().upload_bytes) return 0;
  const auto count = exchange_->TakeUpload(buffer);
  if (!count) {
    deadline_.reset();
    return CURL_READFUNC_PAUSE;
  }
  uploaded_ += *count;
  if (uploaded_ == exchange_->request().upload_bytes) {
    deadline_ = Clock::now() + limits_.no_progress_timeout + limits_.response_timeout;  // the last bytes are on the way
  } else {
    CountProgress(*count);
  }
  return *count;
}

Error HttpTransfer::TimeoutError() const {
  const bool body = has_headers_ || (uploaded_ > 0 && uploaded_ < exchange_->request().upload_bytes);
  const auto limit = body ? limits_.no_progress_timeout : limits_.response_timeout;
  return Error::Make(ErrorCode::kUnavailable, body ? "no progress for " : "no answer for ",
                     std::to_string(limit.count()), " ms");
}

std::optional<Error> HttpTransfer::Outcome(int code) const {
  if (code == CURLE_OK) return std::nullopt;
  if (own_error_) return own_error_;
  const char* text = error_text_[0] != '\0' ? error_text_.data() : ::curl_easy_strerror(static_cast<CURLcode>(code));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Error::Make(ErrorCode::kInternal, "TLS: ", text);
    case CURLE_OUT_OF_MEMORY:  // 7.88's answer to a header line over 100 KiB
      return Error::Make(ErrorCode::kInvalidArgument, "the headers of the answer are longer than 64 KiB");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return Error::Make(ErrorCode::kInvalidArgument, "not an answer by HTTP: ", text);
    default:
      return Error::Make(ErrorCode::kUnavailable, text);
  }
}

}  // namespace fermata::overlay
