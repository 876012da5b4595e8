#include "overlay/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <iterator>

namespace fermata::overlay {
namespace {

// With the C locale libarchive warns about every name that is not ASCII and hands out its bytes as they are,
// which is what we want. Any other warning means that a part of the header was left out.
bool IsCharsetWarning(archive* handle) {
  const char* text = archive_error_string(handle);
  return text != nullptr && std::string_view(text).find("can't be converted") != std::string_view::npos;
}

Error Ambiguous(const std::string& path, std::string_view what) {
  return Error::Make(ErrorCode::kInvalidArgument, "malformed tar header: ", path.substr(0, 255),
                     ": programs would differ about its ", what);
}

std::string_view Text(const char* text) { return text != nullptr ? text : ""; }

struct Kind {
  char type;  // of TarHeader
  mode_t filetype;
};
constexpr Kind kKinds[] = {{'0', AE_IFREG}, {'2', AE_IFLNK}, {'3', AE_IFCHR},
                           {'4', AE_IFBLK}, {'5', AE_IFDIR}, {'6', AE_IFIFO}};

bool SameKind(const TarHeader& ours, archive_entry* theirs) {
  if (ours.type == '1') return archive_entry_hardlink(theirs) != nullptr;
  if (archive_entry_hardlink(theirs) != nullptr) return false;
  return std::any_of(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) {
    return kind.type == ours.type && kind.filetype == archive_entry_filetype(theirs);
  });
}

bool SameLink(const TarHeader& ours, archive_entry* theirs) {
  if (ours.type == '1') return ours.link == Text(archive_entry_hardlink(theirs));
  return ours.type != '2' || ours.link == Text(archive_entry_symlink(theirs));
}

bool SameDevice(const TarHeader& ours, archive_entry* theirs) {
  if (ours.type != '3' && ours.type != '4') return true;
  return ours.device_major == archive_entry_rdevmajor(theirs) && ours.device_minor == archive_entry_rdevminor(theirs);
}

}  // namespace

void TarReader::Free::operator()(archive* handle) const { (void)archive_read_free(handle); }

ssize_t TarReader::ReadCallback(archive* handle, void* self, const void** buffer) {
  auto* reader = static_cast<TarReader*>(self);
  auto count = reader->guard_.Read(reader->buffer_);
  if (!count) {
    archive_set_error(handle, EIO, "%s", count.error().message().c_str());
    reader->source_error_ = std::move(count).error();
    return -1;
  }
  *buffer = reader->buffer_.data();
  return static_cast<ssize_t>(*count);
}

int64_t TarReader::SkipCallback(archive* /*handle*/, void* self, int64_t request) {
  if (request <= 0) return 0;
  return static_cast<int64_t>(static_cast<TarReader*>(self)->guard_.Skip(static_cast<uint64_t>(request)));
}

Result<std::unique_ptr<TarReader>> TarReader::Open(ByteSource& source) {
  std::unique_ptr<TarReader> reader(new TarReader(source));
  reader->handle_.reset(archive_read_new());
  archive* handle = reader->handle_.get();
  if (handle == nullptr) return Error::Make(ErrorCode::kResourceExhausted, "read tar: no memory");
  if (archive_read_support_format_tar(handle) != ARCHIVE_OK ||
      archive_read_support_format_empty(handle) != ARCHIVE_OK ||
      archive_read_set_read_callback(handle, &TarReader::ReadCallback) != ARCHIVE_OK ||
      archive_read_set_skip_callback(handle, &TarReader::SkipCallback) != ARCHIVE_OK ||
      archive_read_set_callback_data(handle, reader.get()) != ARCHIVE_OK || archive_read_open1(handle) != ARCHIVE_OK) {
    return reader->Failure();
  }
  return reader;
}

Result<bool> TarReader::Next() {
  const int code = archive_read_next_header(handle_.get(), &entry_);
  if (source_error_) return *source_error_;  // what libarchive makes of it may be an end
  if (code == ARCHIVE_EOF) {
    if (const auto left = guard_.Take()) return Ambiguous(left->path, "being there");
    return false;
  }
  if (code != ARCHIVE_OK && (code != ARCHIVE_WARN || !IsCharsetWarning(handle_.get()))) return Failure();
  RETURN_IF_ERROR(CheckEntry());
  return true;
}

Result<> TarReader::CheckEntry() {
  const std::optional<TarHeader> ours = guard_.Take();
  if (!ours) return Ambiguous(std::string(Text(archive_entry_pathname(entry_))), "being there");
  if (ours->path != Text(archive_entry_pathname(entry_))) return Ambiguous(ours->path, "name");
  if (!SameKind(*ours, entry_)) return Ambiguous(ours->path, "kind");
  if (!SameLink(*ours, entry_)) return Ambiguous(ours->path, "link");
  if (!SameDevice(*ours, entry_)) return Ambiguous(ours->path, "device");
  if (ours->type == '0' && static_cast<int64_t>(ours->size) != archive_entry_size(entry_)) {
    return Ambiguous(ours->path, "size");
  }
  if (static_cast<int64_t>(ours->uid) != archive_entry_uid(entry_) ||
      static_cast<int64_t>(ours->gid) != archive_entry_gid(entry_)) {
    return Ambiguous(ours->path, "owner");
  }
  return {};
}

Result<bool> TarReader::ReadBlock(TarBlock& block) {
  const void* data = nullptr;
  size_t size = 0;
  int64_t offset = 0;
  const int code = archive_read_data_block(handle_.get(), &data, &size, &offset);
  if (code == ARCHIVE_EOF) return false;
  if (code != ARCHIVE_OK) return Failure();
  block = {{static_cast<const char*>(data), size}, static_cast<uint64_t>(offset)};
  return true;
}

uint64_t TarReader::DataOffset() const { return static_cast<uint64_t>(archive_filter_bytes(handle_.get(), 0)); }

Error TarReader::Failure() {
  if (source_error_) return *source_error_;
  const char* text = archive_error_string(handle_.get());
  return Error::Make(ErrorCode::kInvalidArgument, "read tar: ", text != nullptr ? text : "unknown failure");
}

}  // namespace fermata::overlay
