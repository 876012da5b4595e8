#include "overlay/registry/remote_blob.h"

#include <algorithm>
#include <cstring>

#include "overlay/registry/content_range.h"
#include "overlay/registry/retry.h"

namespace fermata::overlay {
namespace {

// So many bytes between two cuts and the line is bad, not dead: the count of failures starts anew.
constexpr uint64_t kProgressBytes = uint64_t{1} << 20;
constexpr uint64_t kSmallBytes = uint64_t{1} << 20;

}  // namespace

Result<size_t> BlobPart::Read(std::span<char> buffer) {
  for (;;) {
    if (offset_ == end_ && response_ == nullptr) return size_t{0};
    std::optional<Failure> failure = response_ == nullptr ? Connect() : std::nullopt;
    if (!failure && offset_ == end_) return Finish();
    if (!failure) {
      auto count = response_->Read(buffer.first(std::min<uint64_t>(buffer.size(), end_ - offset_)));
      if (count && *count > 0) {
        offset_ += *count;
        since_failure_ += *count;
        if (since_failure_ >= kProgressBytes) failures_ = 0;
        return count;
      }
      failure = count ? Failure{Error::Make(ErrorCode::kUnavailable, "the answer ended ",
                                            std::to_string(end_ - offset_), " bytes too early"),
                                std::nullopt}
                      : Failure{std::move(count).error(), std::nullopt};
    }
    response_.reset();
    RETURN_IF_ERROR(GoOn(*failure), plan_.what);
  }
}

// All is there; is it the end? Then the connection can be used again, too.
Result<size_t> BlobPart::Finish() {
  char more = 0;
  const auto count = response_->Read({&more, 1});
  response_.reset();
  if (count && *count > 0 && end_ == plan_.size_bytes) {  // else the whole was given for a part
    return Error::Make(ErrorCode::kInvalidArgument, plan_.what, ": it is longer than the ",
                       std::to_string(plan_.size_bytes), " bytes that its descriptor says");
  }
  return size_t{0};  // an error now does not harm what is there
}

std::optional<BlobPart::Failure> BlobPart::Connect() {
  Endpoint& endpoint = *plan_.endpoints[endpoint_];
  HttpRequest request = endpoint.NewRequest("GET", endpoint.UrlOf(plan_.path), plan_.stops);
  request.stream = plan_.size_bytes > kSmallBytes;
  // What fits a buffer of its own never pauses what shares its connection.
  if (!request.stream) request.buffer_bytes = plan_.size_bytes + 1;
  if (!plan_.accept.empty()) request.headers.emplace_back("Accept", plan_.accept);
  const bool whole = offset_ == 0 && end_ == plan_.size_bytes;
  if (!whole && !refuses_ranges_) {
    const std::string last = end_ == plan_.size_bytes ? "" : std::to_string(end_ - 1);
    request.headers.emplace_back("Range", "bytes=" + std::to_string(offset_) + "-" + last);
  }
  auto response = endpoint.Send(std::move(request), "pull");
  if (!response) return Failure{std::move(response).error(), std::nullopt};
  return Accept(std::move(*response));
}

std::optional<BlobPart::Failure> BlobPart::Accept(std::unique_ptr<HttpResponse> response) {
  const int status = response->status();
  if (status == 206) {
    const auto range = ParseContentRange(response->Header("content-range"));
    const bool fits = range && range->first == offset_ && range->total.value_or(plan_.size_bytes) == plan_.size_bytes &&
                      range->last < end_;
    if (!fits) {
      refuses_ranges_ = true;
      return Failure{Error::Make(ErrorCode::kUnavailable, "the answer is another range than was asked for"), {}};
    }
  } else if (status == 200) {
    const auto size = ParseSize(response->Header("content-length"));
    if (size && *size != plan_.size_bytes) {
      return Failure{Error::Make(ErrorCode::kInvalidArgument, "it has ", std::to_string(*size), " bytes, not the ",
                                 std::to_string(plan_.size_bytes), " that its descriptor says"),
                     {}};
    }
    if (offset_ > 0) refuses_ranges_ = true;
    if (auto failure = SkipTo(*response, offset_)) return failure;
    if (offset_ == 0) end_ = plan_.size_bytes;
  } else {
    refuses_ranges_ |= status == 416;
    const auto delay = AskedDelay(*response);
    Error error = StatusError(*response);
    return Failure{status == 416 ? std::move(error).WithCode(ErrorCode::kUnavailable) : std::move(error), delay};
  }
  response_ = std::move(response);
  return std::nullopt;
}

// What was given already comes again where the server knows no ranges.
std::optional<BlobPart::Failure> BlobPart::SkipTo(HttpResponse& response, uint64_t count) const {
  std::vector<char> buffer(std::min<uint64_t>(count, uint64_t{128} << 10));
  while (count > 0) {
    auto skipped = response.Read({buffer.data(), std::min<uint64_t>(buffer.size(), count)});
    if (!skipped) return Failure{std::move(skipped).error(), std::nullopt};
    if (*skipped == 0) return Failure{Error::Make(ErrorCode::kUnavailable, "the answer ended too early"), std::nullopt};
    count -= *skipped;
  }
  return std::nullopt;
}

// Waits for another try, or goes on to the next endpoint; the error when there is neither.
Result<> BlobPart::GoOn(const Failure& failure) {
  if (failure.error.code() == ErrorCode::kCancelled) return failure.error;
  since_failure_ = 0;
  const bool more_endpoints = endpoint_ + 1 < plan_.endpoints.size();
  const unsigned retries = more_endpoints ? std::min(plan_.options.retries, 1U) : plan_.options.retries;
  const bool asked_to_wait = failure.delay && more_endpoints;  // rather ask the next at once
  if (failure.error.code() == ErrorCode::kUnavailable && failures_ < retries && !asked_to_wait) {
    const auto delay = RetryDelay(plan_.options.retry_delay, failures_++);
    return plan_.stops.Sleep(failure.delay.value_or(delay));
  }
  if (!more_endpoints) return failure.error;
  ++endpoint_;
  failures_ = 0;
  refuses_ranges_ = false;
  return {};
}

BlobParts::BlobParts(const BlobPlan& plan, uint64_t begin)
    : plan_(plan),
      begin_(begin),
      count_((plan.size_bytes - begin + plan.options.part_bytes - 1) / plan.options.part_bytes) {
  const uint64_t workers = std::min<uint64_t>(plan.options.parts_at_once, count_);
  for (uint64_t i = 0; i < workers; ++i) workers_.emplace_back([this] { Work(); });
}

BlobParts::~BlobParts() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  workers_.clear();
}

void BlobParts::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || next_ == count_ || next_ < head_ + plan_.options.parts_at_once; });
    if (ending_ || next_ == count_) return;
    const uint64_t index = next_++;
    parts_.emplace_back();
    std::string room;
    if (!spare_.empty()) {
      room = std::move(spare_.back());
      spare_.pop_back();
    }
    lock.unlock();
    auto part = Fetch(index, std::move(room));
    lock.lock();
    if (!part) ending_ = true;
    if (index >= head_) parts_[index - head_] = std::move(part);
    changed_.notify_all();
  }
}

Result<std::string> BlobParts::Fetch(uint64_t index, std::string data) const {
  const uint64_t begin = begin_ + index * plan_.options.part_bytes;
  const uint64_t end = std::min(begin + plan_.options.part_bytes, plan_.size_bytes);
  data.resize(end - begin);
  BlobPart part(plan_, begin, end);
  for (size_t filled = 0; filled < data.size();) {
    ASSIGN_OR_RETURN(const size_t count, part.Read({data.data() + filled, data.size() - filled}));
    filled += count;
  }
  char end_of_part = 0;
  RETURN_IF_ERROR(part.Read({&end_of_part, 1}));
  return data;
}

Result<size_t> BlobParts::Read(std::span<char> buffer) {
  std::unique_lock lock(mutex_);
  if (head_ == count_) return size_t{0};
  // After a failure some parts never come; the one that failed tells why.
  const auto failed = [this] {
    return std::find_if(parts_.begin(), parts_.end(), [](const auto& part) { return part && !*part; });
  };
  changed_.wait(lock, [&] { return (!parts_.empty() && parts_.front()) || failed() != parts_.end(); });
  if (parts_.empty() || !parts_.front() || !*parts_.front()) return (*failed())->error();
  std::string& part = **parts_.front();
  const size_t count = std::min(buffer.size(), part.size() - head_read_);
  std::memcpy(buffer.data(), part.data() + head_read_, count);
  head_read_ += count;
  if (head_read_ == part.size()) {
    spare_.push_back(std::move(part));
    parts_.pop_front();
    ++head_;
    head_read_ = 0;
    changed_.notify_all();
  }
  return count;
}

Result<std::unique_ptr<ByteSource>> RemoteBlob::Make(BlobPlan plan) {
  ASSIGN_OR_RETURN(std::shared_ptr<Cancellation> interruption, Cancellation::Make());
  plan.stops.causes.push_back(interruption);
  return std::unique_ptr<ByteSource>(new RemoteBlob(std::move(plan), std::move(interruption)));
}

RemoteBlob::RemoteBlob(BlobPlan plan, std::shared_ptr<Cancellation> interruption)
    : interruption_(std::move(interruption)),
      plan_(std::move(plan)),
      first_(plan_, 0,
             plan_.size_bytes >= plan_.options.parallel_from ? std::min(plan_.options.part_bytes, plan_.size_bytes)
                                                             : plan_.size_bytes) {}

Result<size_t> RemoteBlob::Read(std::span<char> buffer) {
  if (interruption_->flag()) return Error::Make(ErrorCode::kCancelled, plan_.what, ": cancelled");
  auto count = ReadOn(buffer);
  if (count || count.error().code() != ErrorCode::kInternal) return count;
  return std::move(count).error().WithCode(ErrorCode::kUnavailable);
}

Result<size_t> RemoteBlob::ReadOn(std::span<char> buffer) {
  ASSIGN_OR_RETURN(const size_t count, first_.Read(buffer));
  // Ranges work: the others start while the first is still read.
  if (!others_ && first_.end() < plan_.size_bytes) others_.emplace(plan_, first_.end());
  if (count > 0 || !others_) return count;
  return others_->Read(buffer);
}

}  // namespace fermata::overlay
