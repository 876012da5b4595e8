// HttpTransfer: libcurl's part of one exchange: handle, settings, callbacks, clock. Used by the thread of the event
// loop (http.cc) alone, and known to it alone.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "overlay/registry/http.h"

struct curl_slist;

namespace fermata::overlay {

class HttpTransfer {
 public:
  HttpTransfer(std::shared_ptr<HttpExchange> exchange, const HttpLimits& limits);
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer();

  [[nodiscard]] const std::shared_ptr<HttpExchange>& exchange() const { return exchange_; }
  [[nodiscard]] void* handle() const { return handle_; }  // CURL*; null when there was no memory
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() const { return deadline_; }

  void Resume();
  [[nodiscard]] Error TimeoutError() const;
  // What libcurl ended it with, a CURLcode; nothing for a good end.
  [[nodiscard]] std::optional<Error> Outcome(int code) const;

 private:
  void Configure();
  void ConfigureTls();
  void ConfigureBody();
  void ConfigureCallbacks();
  bool OnHeaderLine(std::string_view line);
  size_t OnBody(std::string_view data);
  size_t OnUpload(std::span<char> buffer);
  void OnConnected();
  void StartWindow();
  void CountProgress(size_t bytes);

  const std::shared_ptr<HttpExchange> exchange_;
  const HttpLimits& limits_;
  void* const handle_;
  curl_slist* headers_ = nullptr;
  std::vector<char> error_text_;  // libcurl writes into it
  std::optional<Error> own_error_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;  // nothing while this machine's side is waited for
  size_t header_bytes_ = 0, window_bytes_ = 0;
  uint64_t uploaded_ = 0;
  int status_ = 0;
  bool has_headers_ = false;
  HttpHeaders answer_headers_;
};

}  // namespace fermata::overlay
