// RemoteBlob: the bytes of one blob of a registry, as a ByteSource that goes on after cuts and, for large blobs,
// fetches several parts at once. Asks nobody before the first Read.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "overlay/byte_source.h"
#include "overlay/registry/endpoint.h"

namespace fermata::overlay {

struct BlobPlan {
  std::vector<std::shared_ptr<Endpoint>> endpoints;  // in the order of the trials; not empty
  std::string path;                                  // "/blobs/sha256:..."
  std::string accept;                                // empty for any
  std::string what;                                  // for texts: "registry r: a/b: fetch blob sha256:..."
  uint64_t size_bytes = 0;
  RegistryOptions options;
  Stops stops;
};

// A stretch of a blob, in order. One thread at a time.
class BlobPart {
 public:
  // `plan` must outlive it. The first part of several may turn out to be the whole, see end().
  BlobPart(const BlobPlan& plan, uint64_t begin, uint64_t end) : plan_(plan), offset_(begin), end_(end) {}

  Result<size_t> Read(std::span<char> buffer);
  // Grows to the size of the blob when the server gives the whole for a range from the start.
  [[nodiscard]] uint64_t end() const { return end_; }

 private:
  struct Failure {
    Error error;
    std::optional<std::chrono::milliseconds> delay;  // that the registry asked for
  };
  std::optional<Failure> Connect();
  std::optional<Failure> Accept(std::unique_ptr<HttpResponse> response);
  std::optional<Failure> SkipTo(HttpResponse& response, uint64_t count) const;
  Result<> GoOn(const Failure& failure);
  Result<size_t> Finish();

  const BlobPlan& plan_;
  uint64_t offset_, end_;
  size_t endpoint_ = 0;
  unsigned failures_ = 0;       // since the endpoint was chosen, or something came
  uint64_t since_failure_ = 0;  // bytes
  bool refuses_ranges_ = false;
  std::unique_ptr<HttpResponse> response_;
};

// The parts of a blob from `begin` on, fetched by threads of its own ahead of who reads; options.parts_at_once of them
// are in memory at most. Its end ends the threads: `plan.stops` must be stopped before.
class BlobParts {
 public:
  BlobParts(const BlobPlan& plan, uint64_t begin);
  BlobParts(const BlobParts&) = delete;
  BlobParts& operator=(const BlobParts&) = delete;
  ~BlobParts();
  Result<size_t> Read(std::span<char> buffer);

 private:
  void Work();
  [[nodiscard]] Result<std::string> Fetch(uint64_t index, std::string data) const;

  const BlobPlan& plan_;
  const uint64_t begin_, count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // All below: mutex_.
  uint64_t head_ = 0, next_ = 0;                          // the part being read; the next to be fetched
  std::deque<std::optional<Result<std::string>>> parts_;  // from head_ on
  std::vector<std::string> spare_;  // memory of parts that are read: new pages cost as much as the network
  size_t head_read_ = 0;
  bool ending_ = false;
  std::vector<std::jthread> workers_;  // of who made this
};

class RemoteBlob : public ByteSource {
 public:
  // Adds a cause of its own to the plan's.
  static Result<std::unique_ptr<ByteSource>> Make(BlobPlan plan);
  RemoteBlob(const RemoteBlob&) = delete;
  RemoteBlob& operator=(const RemoteBlob&) = delete;
  ~RemoteBlob() override { interruption_->Cancel(); }

  Result<size_t> Read(std::span<char> buffer) override;
  void Interrupt() override { interruption_->Cancel(); }

 private:
  RemoteBlob(BlobPlan plan, std::shared_ptr<Cancellation> interruption);
  Result<size_t> ReadOn(std::span<char> buffer);

  const std::shared_ptr<Cancellation> interruption_;
  const BlobPlan plan_;
  BlobPart first_;
  std::optional<BlobParts> others_;
};

}  // namespace fermata::overlay
