#include "overlay/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>

namespace fermata::overlay {
namespace {

// With the C locale libarchive warns about every name that is not ASCII and hands out its bytes as they are,
// which is what we want. Any other warning means that a part of the header was left out.
bool IsCharsetWarning(archive* handle) {
  const char* text = archive_error_string(handle);
  return text != nullptr && std::string_view(text).find("can't be converted") != std::string_view::npos;
}

}  // namespace

void TarReader::Free::operator()(archive* handle) const { (void)archive_read_free(handle); }

ssize_t TarReader::ReadCallback(archive* handle, void* self, const void** buffer) {
  auto* reader = static_cast<TarReader*>(self);
  auto count = reader->source_.Read(reader->buffer_);
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
  return static_cast<int64_t>(static_cast<TarReader*>(self)->source_.Skip(static_cast<uint64_t>(request)));
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
  if (code == ARCHIVE_EOF) return false;
  if (code == ARCHIVE_OK || (code == ARCHIVE_WARN && IsCharsetWarning(handle_.get()))) return true;
  return Failure();
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
