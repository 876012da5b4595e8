#include "cri/cli/archive_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::cri::cli {
namespace {

namespace fs = std::filesystem;
using Send = std::function<bool(std::string_view)>;

constexpr size_t kPiece = size_t{1} << 20;

Result<> StreamBytes(int fd, const Send& send) {
  std::vector<char> piece(kPiece);
  for (;;) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno("read");
    if (count == 0 || !send({piece.data(), static_cast<size_t>(count)})) return {};
  }
}

la_ssize_t WriteOut(archive*, void* send, const void* data, size_t size) {
  const bool wanted = (*static_cast<const Send*>(send))({static_cast<const char*>(data), size});
  return wanted ? static_cast<la_ssize_t>(size) : -1;
}

Result<> AddFile(archive* out, const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error::Errno("stat ", path);
  if (!S_ISREG(status.st_mode)) return {};  // an image layout holds regular files only
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), &archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), status.st_size);
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  const auto failed = [&] {
    return Error::Make(ErrorCode::kInternal, "archive ", path, ": ", archive_error_string(out));
  };
  if (archive_write_header(out, entry.get()) != ARCHIVE_OK) return failed();
  bool good = true;
  RETURN_IF_ERROR(StreamBytes(file.get(),
                              [&](std::string_view data) {
                                good = archive_write_data(out, data.data(), data.size()) ==
                                       static_cast<la_ssize_t>(data.size());
                                return good;
                              }),
                  path);
  return good ? Result<>() : failed();
}

Result<> StreamDirectory(const std::string& path, const Send& send) {
  if (!fs::exists(path + "/index.json") && !fs::exists(path + "/manifest.json")) {
    return Error::Make(ErrorCode::kInvalidArgument, path, ": a directory without index.json (OCI image layout) or ",
                       "manifest.json (docker save); for a root file system: tar -C ", path,
                       " -c . | fermata image import - NAME");
  }
  const std::unique_ptr<archive, decltype(&archive_write_free)> out(archive_write_new(), &archive_write_free);
  archive_write_set_format_pax_restricted(out.get());
  archive_write_set_bytes_in_last_block(out.get(), 1);
  if (archive_write_open(out.get(), const_cast<Send*>(&send), nullptr, &WriteOut, nullptr) != ARCHIVE_OK) {
    return Error::Make(ErrorCode::kInternal, "archive ", path, ": ", archive_error_string(out.get()));
  }
  std::error_code failure;
  for (fs::recursive_directory_iterator entry(path, failure), end; !failure && entry != end; entry.increment(failure)) {
    if (entry->is_symlink() || !entry->is_regular_file()) continue;
    RETURN_IF_ERROR(AddFile(out.get(), entry->path(), fs::path(entry->path()).lexically_relative(path)));
  }
  if (failure) return Error::Make(ErrorCode::kInternal, "read directory ", path, ": ", failure.message());
  if (archive_write_close(out.get()) != ARCHIVE_OK) {
    return Error::Make(ErrorCode::kInternal, "archive ", path, ": ", archive_error_string(out.get()));
  }
  return {};
}

}  // namespace

Result<> StreamArchive(const std::string& path, const Send& send) {
  if (path == "-") return StreamBytes(STDIN_FILENO, send);
  ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_RDONLY));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error::Errno("stat ", path);
  if (S_ISDIR(status.st_mode)) return StreamDirectory(path, send);
  RETURN_IF_ERROR(StreamBytes(file.get(), send), path);
  return {};
}

}  // namespace fermata::cri::cli
