// PageBuffer: memory for reading into, that costs only what was really read: pages come with the first write and
// can be given back. Owned by one thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "runtime/base/result.h"

namespace fermata {

class PageBuffer {
 public:
  PageBuffer() = default;
  static Result<PageBuffer> Map(size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Error::Errno("mmap");
    PageBuffer buffer;
    buffer.bytes_ = {static_cast<char*>(memory), bytes};
    return buffer;
  }
  PageBuffer(PageBuffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer() {
    if (bytes_.data() != nullptr) ::munmap(bytes_.data(), bytes_.size());
  }

  // Aligned to a page.
  [[nodiscard]] std::span<char> span() const { return bytes_; }
  // Gives the pages back; what was in them is lost.
  void Discard() { (void)::madvise(bytes_.data(), bytes_.size(), MADV_DONTNEED); }

 private:
  std::span<char> bytes_;
};

}  // namespace fermata
