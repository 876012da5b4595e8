// TarGuard: a second, strict reading of a tar on its way to libarchive, which is lenient: what it repairs or guesses
// another program may read in another way, and then a layer means two things at once. TarReader compares the two.
//
// Checks checksums, numbers, pax records, kinds of entries and their order; bounds pax headers and sparse maps
// (1 MiB each) and GNU long names (4,096 bytes). Knows ustar, pax, GNU, v7, and the sparse files of GNU tar (old, pax
// 0.0, 0.1, 1.0). Passes the bytes on unchanged. The source stays the caller's. One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "overlay/byte_source.h"
#include "overlay/pax_header.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// One entry, with what the headers in front of it say about it.
struct TarHeader {
  std::string path;
  std::string link;   // of a hard or symbolic link
  char type = '0';    // '0' file, '1' hard link, '2' symbolic link, '3' char, '4' block, '5' directory, '6' fifo
  uint64_t size = 0;  // of the file once it is written, with its holes
  uint64_t uid = 0, gid = 0;
  uint64_t device_major = 0, device_minor = 0;
};

class TarGuard : public ByteSource {
 public:
  explicit TarGuard(ByteSource& source) : source_(source) {}

  // kInvalidArgument: a header that is refused, or an end in the middle of an entry.
  Result<size_t> Read(std::span<char> buffer) override;
  uint64_t Skip(uint64_t count) override;

  // The next entry whose header has passed; nothing when there is none.
  [[nodiscard]] std::optional<TarHeader> Take();

 private:
  enum class State : uint8_t { kHeader, kSpecial, kOldSparse, kSparseMap, kZeroBlock, kEnd };

  Result<> Consume(std::string_view data);
  Result<> TakeBlock();
  Result<> TakeHeader();
  Result<> BeginSpecial(char type, uint64_t size);
  Result<> FinishSpecial();
  Result<> TakeEntry(char type, uint64_t stored_size);
  Result<TarHeader> ReadNames();
  Result<> ReadNumbers(TarHeader& header, uint64_t& stored_size) const;
  Result<> BeginBody(const TarHeader& header, uint64_t stored_size);
  Result<> BeginPaxSparse(TarHeader& header, uint64_t stored_size);
  Result<> TakeOldSparseBlock();
  Result<> TakeSparseMapBlock();
  [[nodiscard]] std::string_view Field(size_t offset, size_t size) const;
  [[nodiscard]] bool IsPosix() const;

  ByteSource& source_;
  State state_ = State::kHeader;
  std::string block_;  // of 512 bytes, as far as it has come
  uint64_t skip_ = 0;  // bytes of a body still to come
  std::deque<TarHeader> passed_;

  // Of the headers that speak of the next entry.
  char special_type_ = 0;  // the one that is being read ...
  uint64_t special_left_ = 0;
  std::string special_;
  std::optional<PaxRecords> pax_;
  std::optional<std::string> long_name_, long_link_;

  uint64_t sparse_map_bytes_ = 0;
  uint64_t map_lines_left_ = 0;  // of a map that lies in front of the data; the first line says how many
  std::string map_count_;
};

}  // namespace fermata::overlay
