#include "overlay/tar_guard.h"

#include <algorithm>
#include <charconv>

namespace fermata::overlay {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kMaxLongName = 4096;
constexpr uint64_t kMaxSparseMap = uint64_t{1} << 20;
constexpr uint64_t kMaxStoredBytes = uint64_t{1} << 62;

Error Malformed(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "malformed tar header: ", reason);
}

bool IsZero(std::string_view block) { return block.find_first_not_of('\0') == std::string_view::npos; }

uint64_t Padded(uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

}  // namespace

Result<size_t> TarGuard::Read(std::span<char> buffer) {
  ASSIGN_OR_RETURN(const size_t count, source_.Read(buffer));
  if (count == 0 && state_ != State::kEnd && state_ != State::kZeroBlock) {
    if (state_ != State::kHeader || skip_ != 0 || !block_.empty() || pax_ || long_name_ || long_link_) {
      return Error::Make(ErrorCode::kInvalidArgument, "tar: cut short");
    }
  }
  RETURN_IF_ERROR(Consume({buffer.data(), count}));
  return count;
}

uint64_t TarGuard::Skip(uint64_t count) {
  const uint64_t wanted = block_.empty() ? std::min(count, skip_) : 0;
  const uint64_t skipped = wanted == 0 ? 0 : source_.Skip(wanted);
  skip_ -= skipped;
  return skipped;
}

std::optional<TarHeader> TarGuard::Take() {
  if (passed_.empty()) return std::nullopt;
  TarHeader header = std::move(passed_.front());
  passed_.pop_front();
  return header;
}

Result<> TarGuard::Consume(std::string_view data) {
  while (!data.empty() && state_ != State::kEnd) {
    if (skip_ != 0) {
      const size_t count = std::min<uint64_t>(skip_, data.size());
      skip_ -= count;
      data.remove_prefix(count);
      continue;
    }
    const size_t count = std::min(kBlock - block_.size(), data.size());
    block_.append(data.substr(0, count));
    data.remove_prefix(count);
    if (block_.size() < kBlock) return {};
    RETURN_IF_ERROR(TakeBlock());
    block_.clear();
  }
  return {};
}

Result<> TarGuard::TakeBlock() {
  switch (state_) {
    case State::kHeader:
      if (!IsZero(block_)) return TakeHeader();
      if (pax_ || long_name_ || long_link_) return Malformed("an extended header without an entry");
      state_ = State::kZeroBlock;
      return {};
    case State::kZeroBlock:  // some programs end at the first, others read on behind it
      if (!IsZero(block_)) return Malformed("an entry behind a block of zeros");
      state_ = State::kEnd;
      return {};
    case State::kSpecial: {
      const size_t count = std::min<uint64_t>(special_left_, kBlock);
      special_.append(block_, 0, count);
      special_left_ -= count;
      return special_left_ == 0 ? FinishSpecial() : Result<>();
    }
    case State::kOldSparse:
      return TakeOldSparseBlock();
    case State::kSparseMap:
      return TakeSparseMapBlock();
    case State::kEnd:
      break;
  }
  return {};
}

std::string_view TarGuard::Field(size_t offset, size_t size) const {
  return std::string_view(block_).substr(offset, size);
}

bool TarGuard::IsPosix() const { return Field(257, 6) == std::string_view("ustar\0", 6); }

Result<> TarGuard::TakeHeader() {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(block_[i]);
  ASSIGN_OR_RETURN(const uint64_t written_sum, ParseTarNumber(Field(148, 8)));
  if (sum != written_sum) return Malformed("wrong checksum");
  const bool gnu = Field(257, 8) == std::string_view("ustar  \0", 8);
  if (!IsPosix() && !gnu && !IsZero(Field(257, 8))) return Malformed("neither ustar, pax, GNU nor v7");
  if (IsPosix() && Field(508, 4) == std::string_view("tar\0", 4)) return Malformed("star's own format");
  ASSIGN_OR_RETURN(const uint64_t size, ParseTarNumber(Field(124, 12)));
  if (size > kMaxStoredBytes) return Malformed("an entry larger than all disks");
  const char type = block_[156];
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') return BeginSpecial(type, size);
  if (type == '\0' || type == '7') return TakeEntry('0', size);
  if ((type >= '0' && type <= '6') || (type == 'S' && gnu)) return TakeEntry(type, size);
  return Malformed("an entry of a kind that layers do not have");
}

Result<> TarGuard::BeginSpecial(char type, uint64_t size) {
  const bool pax = type == 'x' || type == 'g';
  if (pax && size > kMaxPaxHeaderBytes) return Malformed("a pax header larger than the limit of 1 MiB");
  if (!pax && size > kMaxLongName) return Malformed("a GNU long name over the limit of 4096 bytes");
  special_type_ = type;
  special_left_ = size;
  special_.clear();
  if (size == 0) return FinishSpecial();
  state_ = State::kSpecial;
  return {};
}

Result<> TarGuard::FinishSpecial() {
  state_ = State::kHeader;
  if (special_type_ == 'x' || special_type_ == 'g') {
    if (pax_ || long_name_ || long_link_) return Malformed("two extended headers for one entry");
    ASSIGN_OR_RETURN(PaxRecords records, ParsePaxRecords(special_));
    if (special_type_ == 'x') {
      pax_ = std::move(records);
      return {};
    }
    // Some programs let it change every entry behind it, others none.
    for (const auto& [key, value] : records.values) {
      if (key != "comment") return Malformed("a global pax header with " + key.substr(0, 64));
    }
    return records.sparse_0_0 ? Result<>(Malformed("a global pax header with a sparse map")) : Result<>();
  }
  std::optional<std::string>& text = special_type_ == 'L' ? long_name_ : long_link_;
  if (pax_ || text) return Malformed("two extended headers for one entry");
  const std::string_view name = TarText(special_);
  if (name.empty() || !IsZero(std::string_view(special_).substr(name.size()))) {
    return Malformed("a GNU long name that is empty or has a zero byte");
  }
  text = name;
  return {};
}

// The names from where they are said: a pax record, a GNU long name, or the header itself.
Result<TarHeader> TarGuard::ReadNames() {
  TarHeader header;
  const std::string_view prefix = IsPosix() ? TarText(Field(345, 155)) : std::string_view();
  if (!prefix.empty()) header.path.append(prefix).append(prefix.ends_with('/') ? "" : "/");
  header.path.append(TarText(Field(0, 100)));
  header.link = TarText(Field(157, 100));
  if (long_name_) header.path = *std::move(long_name_);
  if (long_link_) header.link = *std::move(long_link_);
  if (!pax_) return header;
  if (const std::string* path = pax_->Find("path")) header.path = *path;
  if (const std::string* path = pax_->Find("GNU.sparse.name")) header.path = *path;
  if (const std::string* link = pax_->Find("linkpath")) header.link = *link;
  return header;
}

Result<> TarGuard::ReadNumbers(TarHeader& header, uint64_t& stored_size) const {
  ASSIGN_OR_RETURN(header.uid, ParseTarNumber(Field(108, 8)));
  ASSIGN_OR_RETURN(header.gid, ParseTarNumber(Field(116, 8)));
  if (header.type == '3' || header.type == '4') {
    ASSIGN_OR_RETURN(header.device_major, ParseTarNumber(Field(329, 8)));
    ASSIGN_OR_RETURN(header.device_minor, ParseTarNumber(Field(337, 8)));
  }
  if (!pax_) return {};
  const std::pair<std::string_view, uint64_t*> numbers[] = {
      {"uid", &header.uid}, {"gid", &header.gid}, {"size", &stored_size}};
  for (const auto& [key, number] : numbers) {
    if (pax_->Find(key) != nullptr) {
      ASSIGN_OR_RETURN(*number, pax_->Number(key));
    }
  }
  if (stored_size > kMaxStoredBytes) return Malformed("an entry larger than all disks");
  return {};
}

Result<> TarGuard::TakeEntry(char type, uint64_t stored_size) {
  ASSIGN_OR_RETURN(TarHeader header, ReadNames());
  header.type = type;
  RETURN_IF_ERROR(ReadNumbers(header, stored_size), header.path.substr(0, 255));
  header.size = stored_size;
  if (type == 'S') {
    if (pax_) return Malformed("a sparse file in two ways");
    header.type = '0';
    ASSIGN_OR_RETURN(header.size, ParseTarNumber(Field(483, 12)));
    sparse_map_bytes_ = kBlock;
    if (block_[482] != '\0') state_ = State::kOldSparse;
  } else if (type == '0' && header.path.ends_with('/')) {
    header.type = '5';  // as old programs wrote directories
  }
  RETURN_IF_ERROR(BeginBody(header, stored_size), header.path.substr(0, 255));
  if (pax_) RETURN_IF_ERROR(BeginPaxSparse(header, stored_size), header.path.substr(0, 255));
  pax_.reset();
  long_name_.reset();
  long_link_.reset();
  passed_.push_back(std::move(header));
  return {};
}

Result<> TarGuard::BeginBody(const TarHeader& header, uint64_t stored_size) {
  if (header.type != '0' && stored_size != 0) {
    return Malformed(header.type == '1' ? "a hard link with data" : "data where its kind has none");
  }
  if (state_ == State::kOldSparse) {
    special_left_ = Padded(stored_size);  // begins behind the rest of the map
  } else {
    skip_ = Padded(stored_size);
  }
  return {};
}

Result<> TarGuard::BeginPaxSparse(TarHeader& header, uint64_t stored_size) {
  if (pax_->Find("SCHILY.realsize") != nullptr) return Malformed("star's own format");
  const bool sparse = pax_->sparse_0_0 || std::any_of(pax_->values.begin(), pax_->values.end(), [](const auto& record) {
                        return record.first.starts_with("GNU.sparse.");
                      });
  if (!sparse) return {};
  if (header.type != '0') return Malformed("a sparse file that is no file");
  const std::string* major = pax_->Find("GNU.sparse.major");
  if (major == nullptr || *major == "0") {
    ASSIGN_OR_RETURN(header.size, pax_->Number("GNU.sparse.size"));
    return {};
  }
  const std::string* minor = pax_->Find("GNU.sparse.minor");
  if (*major != "1" || minor == nullptr || *minor != "0") return Malformed("an unknown format of sparse files");
  ASSIGN_OR_RETURN(header.size, pax_->Number("GNU.sparse.realsize"));
  state_ = State::kSparseMap;
  special_left_ = Padded(stored_size);
  skip_ = 0;
  sparse_map_bytes_ = 0;
  map_lines_left_ = 0;
  map_count_.clear();
  return {};
}

// Old GNU: blocks of 21 pairs; byte 504 says whether another one comes.
Result<> TarGuard::TakeOldSparseBlock() {
  sparse_map_bytes_ += kBlock;
  if (sparse_map_bytes_ > kMaxSparseMap) return Malformed("a sparse map larger than the limit of 1 MiB");
  if (block_[504] != '\0') return {};
  state_ = State::kHeader;
  skip_ = special_left_;
  return {};
}

// Pax 1.0: decimal numbers, a line each, in front of the data: how many pairs, then offset and length of each.
Result<> TarGuard::TakeSparseMapBlock() {
  if (special_left_ == 0) return Malformed("a sparse map that is cut short");
  sparse_map_bytes_ += kBlock;
  special_left_ -= kBlock;
  if (sparse_map_bytes_ > kMaxSparseMap) return Malformed("a sparse map larger than the limit of 1 MiB");
  std::string_view rest = block_;
  if (map_lines_left_ == 0) {
    const size_t end = rest.find('\n');
    map_count_ = rest.substr(0, end);
    uint64_t pairs = 0;
    const auto [stop, failure] = std::from_chars(map_count_.data(), map_count_.data() + map_count_.size(), pairs);
    const bool whole = failure == std::errc() && stop == map_count_.data() + map_count_.size();
    if (end == std::string_view::npos || !whole || pairs > kMaxSparseMap)
      return Malformed("a sparse map without a count");
    map_lines_left_ = 2 * pairs;
    rest.remove_prefix(end + 1);
  }
  const auto lines = static_cast<uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
  map_lines_left_ -= std::min(lines, map_lines_left_);
  if (map_lines_left_ != 0) return {};
  state_ = State::kHeader;
  skip_ = special_left_;
  return {};
}

}  // namespace fermata::overlay
