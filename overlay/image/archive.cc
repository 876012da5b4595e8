#include "overlay/image/archive.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "overlay/inflate.h"
#include "overlay/layer_path.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr uint64_t kMaxEntries = 10'000;
constexpr uint64_t kMaxArchiveBytes = uint64_t{256} << 30;

Error Invalid(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "read image archive: ", reason);
}

// What may be read in place; its first bytes are a tar header and not a compressor's mark.
Result<bool> IsPlainFile(int fd, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return false;
  unsigned char head[4] = {};
  if (::pread(fd, head, sizeof head, 0) < 0) return Error::Errno("read image archive: pread");
  const bool gzip = head[0] == 0x1f && head[1] == 0x8b;
  const bool zstd = head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd;
  return !gzip && !zstd && ::lseek(fd, 0, SEEK_CUR) == 0;
}

}  // namespace

Result<std::unique_ptr<OciArchive>> OciArchive::Open(int archive_fd, int scratch_dir) {
  struct stat status {};
  if (::fstat(archive_fd, &status) != 0) return Error::Errno("read image archive: stat");
  std::unique_ptr<OciArchive> archive(new OciArchive());
  ASSIGN_OR_RETURN(const bool plain, IsPlainFile(archive_fd, status));
  if (plain) {
    RETURN_IF_ERROR(archive->ScanInPlace(archive_fd, static_cast<uint64_t>(status.st_size)));
  } else {
    RETURN_IF_ERROR(archive->Spool(archive_fd, scratch_dir));
  }
  RETURN_IF_ERROR(archive->CheckLayout());
  return archive;
}

Result<> OciArchive::ScanInPlace(int archive_fd, uint64_t size) {
  fd_ = archive_fd;
  RangeSource source(archive_fd, 0, size);
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(source), "read image archive");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar->Next(), "read image archive");
    if (!more) break;
    RETURN_IF_ERROR(AddEntry(*tar));
  }
  for (const auto& [name, range] : files_) {
    if (range.offset > size || range.size > size - range.offset) return Invalid(name + " is cut short");
  }
  return {};
}

Result<> OciArchive::Spool(int archive_fd, int scratch_dir) {
  ASSIGN_OR_RETURN(spool_, OpenAt(scratch_dir, "spool", O_RDWR | O_CREAT | O_EXCL, 0600));
  fd_ = spool_.get();
  FdSource source(archive_fd);
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> inflated, Inflate(source, {.max_output_bytes = kMaxArchiveBytes}),
                   "read image archive");
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(*inflated), "read image archive");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar->Next(), "read image archive");
    if (!more) break;
    RETURN_IF_ERROR(AddEntry(*tar));
  }
  // A compressed archive has its checksum at the end, and a writer into a pipe wants to finish.
  HashedSource rest(*inflated);
  RETURN_IF_ERROR(rest.Drain(), "read image archive");
  return {};
}

Result<> OciArchive::AddEntry(TarReader& tar) {
  archive_entry* entry = tar.entry();
  if (++entries_ > kMaxEntries) return Invalid("more than 10000 entries");
  const bool link = archive_entry_hardlink(entry) != nullptr;
  if (link || archive_entry_filetype(entry) != AE_IFREG) return {};
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) return Invalid("an entry without a name");
  ASSIGN_OR_RETURN(const std::string path, CleanLayerPath(name), "read image archive");
  const int64_t size = archive_entry_size(entry);
  if (size < 0) return Invalid(path + " has no size");
  Range range{tar.DataOffset(), static_cast<uint64_t>(size)};
  if (spool_.valid()) {
    ASSIGN_OR_RETURN(range, CopyToSpool(tar, range.size), "read image archive: ", path);
  }
  if (!files_.emplace(path, range).second) return Invalid(path + " is there twice");
  return {};
}

Result<OciArchive::Range> OciArchive::CopyToSpool(TarReader& tar, uint64_t size) {
  const Range range{spooled_, size};
  TarBlock block;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar.ReadBlock(block));
    if (!more) break;
    const uint64_t position = range.offset + block.offset;
    if (::lseek(fd_, static_cast<off_t>(position), SEEK_SET) < 0) return Error::Errno("seek spool");
    RETURN_IF_ERROR(WriteAll(fd_, block.data), "spool");
  }
  spooled_ += size;
  return range;
}

Result<std::string> OciArchive::ReadFile(const std::string& name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) return Invalid(name + " is missing");
  if (found->second.size > kMaxDocumentBytes) return Invalid(name + " is larger than 4 MiB");
  RangeSource source(fd_, found->second.offset, found->second.size);
  return ReadToEnd(source, kMaxDocumentBytes);
}

Result<> OciArchive::CheckLayout() {
  if (!files_.contains("index.json")) {
    if (!files_.contains("manifest.json")) return Invalid("index.json is missing, so it is no OCI archive");
    return Error::Make(ErrorCode::kUnimplemented,
                       "read image archive: the older format of 'docker save' is not supported yet; "
                       "convert it with 'skopeo copy docker-archive:X oci-archive:Y'");
  }
  ASSIGN_OR_RETURN(const std::string layout, ReadFile("oci-layout"));
  RETURN_IF_ERROR(CheckLayoutVersion(layout), "read image archive");
  ASSIGN_OR_RETURN(index_json_, ReadFile("index.json"));
  return {};
}

Result<std::unique_ptr<ByteSource>> OciArchive::Open(const Descriptor& blob) const {
  const auto found = files_.find("blobs/sha256/" + HexOf(blob.digest));
  if (found == files_.end()) return Invalid("blob " + blob.digest + " is missing");
  if (found->second.size != blob.size_bytes) {
    return Invalid("blob " + blob.digest + " has " + std::to_string(found->second.size) + " bytes, the image says " +
                   std::to_string(blob.size_bytes));
  }
  std::unique_ptr<ByteSource> source = std::make_unique<RangeSource>(fd_, found->second.offset, found->second.size);
  return source;
}

}  // namespace fermata::overlay
