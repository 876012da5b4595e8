// TarReader: the entries of a tar stream (ustar, pax, GNU) by libarchive, which reads through our source and a
// TarGuard: an entry that the two understand in different ways is refused. Owns libarchive's state, not the source. One
// thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "overlay/byte_source.h"
#include "overlay/tar_guard.h"
#include "runtime/base/result.h"

struct archive;
struct archive_entry;

namespace fermata::overlay {

struct TarBlock {
  std::string_view data;  // valid until the next call
  uint64_t offset = 0;    // in the file; what lies between blocks is a hole
};

class TarReader {
 public:
  static Result<std::unique_ptr<TarReader>> Open(ByteSource& source);

  // Goes to the next entry; false at the end of the tar, behind which the source may hold more bytes.
  // kInvalidArgument for what cannot be read without guessing; errors of the source as they are.
  Result<bool> Next();
  [[nodiscard]] archive_entry* entry() const { return entry_; }
  // The next part of the entry's data; false at its end.
  Result<bool> ReadBlock(TarBlock& block);
  // Where in the stream the entry's data begins; only right after Next().
  [[nodiscard]] uint64_t DataOffset() const;

 private:
  explicit TarReader(ByteSource& source) : guard_(source), buffer_(size_t{256} << 10) {}
  Error Failure();
  Result<> CheckEntry();
  static ssize_t ReadCallback(archive* handle, void* self, const void** buffer);
  static int64_t SkipCallback(archive* handle, void* self, int64_t request);

  struct Free {
    void operator()(archive* handle) const;
  };
  TarGuard guard_;
  std::vector<char> buffer_;
  std::optional<Error> source_error_;  // libarchive keeps only a text
  std::unique_ptr<archive, Free> handle_;
  archive_entry* entry_ = nullptr;  // handle_'s
};

}  // namespace fermata::overlay
