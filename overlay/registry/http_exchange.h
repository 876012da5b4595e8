// HttpExchange: one request and its answer, between the thread that asks and the event loop that talks to the network
// (http.cc). Bytes wait here in bounded memory; who is ahead waits or is paused. The loop always ends an exchange, by
// Finish, so the waits of the asking side need no time-out of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "overlay/byte_source.h"
#include "overlay/registry/stops.h"
#include "overlay/registry/url.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;  // of answers: names in lower case

struct HttpTls {
  bool verify = true;
  std::string ca_pem;                   // certificates trusted besides those of the system
  std::string client_cert, client_key;  // paths; empty for none
};

struct HttpRequest {
  std::string method = "GET";
  Url url;
  HttpHeaders headers;  // values may be secrets
  HttpTls tls;
  std::string body;              // of POST and PUT
  ByteSource* upload = nullptr;  // instead of `body`, read by the thread that sends
  uint64_t upload_bytes = 0;
  bool stream = false;                      // the answer is read at the pace of who reads it, maybe slowly
  size_t buffer_bytes = size_t{256} << 10;  // that wait for the reader at most (and some 128 KiB)
  Stops stops;
};

class HttpExchange {
 public:
  explicit HttpExchange(HttpRequest request) : request_(std::move(request)) {}

  [[nodiscard]] const HttpRequest& request() const { return request_; }

  // The asking side. `resume` is set when the loop paused and is to go on.
  Result<> AwaitHeaders();
  Result<size_t> Read(std::span<char> buffer, bool& resume);
  // Hands over the next bytes to send, once those before are taken; false when the answer is there already.
  bool GiveUpload(std::string_view data, bool& resume);
  [[nodiscard]] bool finished() const;
  // Valid after AwaitHeaders.
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const HttpHeaders& headers() const { return headers_; }

  // The loop's side.
  void OnHeaders(int status, HttpHeaders headers);
  bool OnBody(std::string_view data);                        // false: not taken, there is no room
  std::optional<size_t> TakeUpload(std::span<char> buffer);  // nothing: there is none yet
  void Finish(std::optional<Error> failure);

 private:
  [[nodiscard]] Result<> CheckStops() const;

  const HttpRequest request_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // All below: mutex_; status and headers do not change after has_headers_.
  bool has_headers_ = false, finished_ = false;
  std::optional<Error> failure_;
  int status_ = 0;
  HttpHeaders headers_;
  std::deque<std::string> body_;  // what waits for the reader
  size_t body_bytes_ = 0;         // of it, not read yet
  size_t front_read_ = 0;         // bytes of body_.front() that are read
  bool body_paused_ = false;
  std::string upload_;  // what waits to be sent
  size_t upload_taken_ = 0;
  bool upload_paused_ = false;
};

}  // namespace fermata::overlay
