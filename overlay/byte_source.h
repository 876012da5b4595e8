// ByteSource: bytes that are read once from front to end: a descriptor, a part of a file, what an inflater
// makes of another source. One thread at a time uses a source.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "overlay/digest.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Where the bytes of a source are, for another process to read them itself.
struct Extent {
  int fd = -1;
  uint64_t offset = 0;
  bool seekable = false;  // by pread(2) at `offset`; else from where the descriptor stands
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the front of `buffer` and gives the count; 0 is the end. `buffer` is not empty.
  virtual Result<size_t> Read(std::span<char> buffer) = 0;
  // Leaves out up to `count` bytes without reading them and gives how many; 0 where that is impossible.
  virtual uint64_t Skip(uint64_t count) {
    (void)count;
    return 0;
  }
  // Nothing where the bytes are made by this object.
  [[nodiscard]] virtual std::optional<Extent> extent() const { return std::nullopt; }
  // From another thread: a Read under way, and all later, return an error soon. A source that may wait for ever and
  // has no extent must honour it.
  virtual void Interrupt() {}
};

// A stream to its end; the descriptor stays the caller's.
class FdSource : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}
  Result<size_t> Read(std::span<char> buffer) override;
  [[nodiscard]] std::optional<Extent> extent() const override { return Extent{fd_, 0, false}; }

 private:
  int fd_;
};

// `size` bytes at `offset` of a regular file, by pread(2): several may read one descriptor, which stays
// the caller's. kInvalidArgument when the file ends before.
class RangeSource : public ByteSource {
 public:
  RangeSource(int fd, uint64_t offset, uint64_t size) : fd_(fd), offset_(offset), left_(size) {}
  Result<size_t> Read(std::span<char> buffer) override;
  uint64_t Skip(uint64_t count) override;
  [[nodiscard]] std::optional<Extent> extent() const override { return Extent{fd_, offset_, true}; }

 private:
  int fd_;
  uint64_t offset_;
  uint64_t left_;
};

// A text in memory, which the caller keeps as long as this.
class TextSource : public ByteSource {
 public:
  explicit TextSource(std::string_view text) : left_(text) {}
  Result<size_t> Read(std::span<char> buffer) override {
    const size_t count = left_.copy(buffer.data(), buffer.size());
    left_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view left_;
};

// Passes on another source (the caller's), counting and hashing. kCancelled once `*cancelled` is true.
class HashedSource : public ByteSource {
 public:
  explicit HashedSource(ByteSource& inner, const std::atomic<bool>* cancelled = nullptr)
      : inner_(inner), cancelled_(cancelled) {}
  Result<size_t> Read(std::span<char> buffer) override;
  // Reads what is left, so that the digest is over the whole.
  Result<> Drain();
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] std::string Digest() { return hash_.Finish(); }  // once, at the end

 private:
  ByteSource& inner_;
  const std::atomic<bool>* cancelled_;
  Sha256 hash_;
  uint64_t count_ = 0;
};

// All of `source`; kInvalidArgument when it is longer than `limit_bytes`.
Result<std::string> ReadToEnd(ByteSource& source, uint64_t limit_bytes);

}  // namespace fermata::overlay
