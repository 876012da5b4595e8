#include "overlay/registry/http_exchange.h"

#include <algorithm>
#include <cstring>

namespace fermata::overlay {

Result<> HttpExchange::CheckStops() const {
  if (request_.stops.stopped()) return Error::Make(ErrorCode::kCancelled, "cancelled");
  return {};
}

Result<> HttpExchange::AwaitHeaders() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return has_headers_ || finished_; });
  RETURN_IF_ERROR(CheckStops());
  if (!has_headers_) return failure_ ? *failure_ : Error::Make(ErrorCode::kUnavailable, "no answer");
  return {};
}

Result<size_t> HttpExchange::Read(std::span<char> buffer, bool& resume) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return body_bytes_ > 0 || finished_; });
  RETURN_IF_ERROR(CheckStops());
  if (body_bytes_ == 0) {
    if (failure_) return *failure_;
    return size_t{0};
  }
  size_t count = 0;
  while (count < buffer.size() && !body_.empty()) {
    const std::string& front = body_.front();
    const size_t taken = std::min(buffer.size() - count, front.size() - front_read_);
    std::memcpy(buffer.data() + count, front.data() + front_read_, taken);
    count += taken;
    front_read_ += taken;
    if (front_read_ < front.size()) break;
    body_.pop_front();
    front_read_ = 0;
  }
  body_bytes_ -= count;
  resume = body_paused_ && body_bytes_ <= request_.buffer_bytes / 2;
  if (resume) body_paused_ = false;
  return count;
}

bool HttpExchange::GiveUpload(std::string_view data, bool& resume) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return upload_taken_ == upload_.size() || has_headers_ || finished_; });
  if (has_headers_ || finished_) return false;
  upload_ = data;
  upload_taken_ = 0;
  resume = std::exchange(upload_paused_, false);
  return true;
}

bool HttpExchange::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

void HttpExchange::OnHeaders(int status, HttpHeaders headers) {
  const std::lock_guard lock(mutex_);
  status_ = status;
  headers_ = std::move(headers);
  has_headers_ = true;
  changed_.notify_all();
}

bool HttpExchange::OnBody(std::string_view data) {
  const std::lock_guard lock(mutex_);
  if (body_bytes_ >= request_.buffer_bytes) {
    body_paused_ = true;
    return false;
  }
  body_.emplace_back(data);
  body_bytes_ += data.size();
  changed_.notify_all();
  return true;
}

std::optional<size_t> HttpExchange::TakeUpload(std::span<char> buffer) {
  const std::lock_guard lock(mutex_);
  const size_t count = std::min(buffer.size(), upload_.size() - upload_taken_);
  if (count == 0) {
    upload_paused_ = true;
    return std::nullopt;
  }
  std::memcpy(buffer.data(), upload_.data() + upload_taken_, count);
  upload_taken_ += count;
  if (upload_taken_ == upload_.size()) changed_.notify_all();
  return count;
}

void HttpExchange::Finish(std::optional<Error> failure) {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  failure_ = std::move(failure);
  changed_.notify_all();
}

}  // namespace fermata::overlay
