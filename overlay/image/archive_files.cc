#include "overlay/image/archive_files.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "overlay/image/config.h"
#include "overlay/inflate.h"
#include "overlay/layer_path.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr uint64_t kMaxEntries = 10'000;
constexpr uint64_t kMaxArchiveBytes = uint64_t{256} << 30;
constexpr size_t kCopyBytes = size_t{1} << 20;
constexpr int kMaxLinks = 8;  // followed one after the other

constexpr const char* kOfImages[] = {"index.json", "manifest.json", "oci-layout", "repositories"};

bool IsOfImages(std::string_view path) {
  return std::find(std::begin(kOfImages), std::end(kOfImages), path) != std::end(kOfImages);
}

Error Invalid(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "read image archive: ", reason);
}

Result<uint64_t> CopyToFile(ByteSource& source, int file) {
  std::vector<char> buffer(kCopyBytes);
  uint64_t total = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, source.Read(buffer), "read image archive");
    if (count == 0) return total;
    RETURN_IF_ERROR(WriteAll(file, {buffer.data(), count}), "spool image archive");
    total += count;
  }
}

// The path that a link's text means, seen from the directory of the link.
Result<std::string> ResolveLink(const std::string& link, std::string_view text) {
  std::string path = text.starts_with('/') ? "" : link.substr(0, link.rfind('/') + 1);
  std::vector<std::string> parts;
  for (const std::string whole = path.append(text); const char c : whole + "/") {
    if (parts.empty()) parts.emplace_back();
    if (c != '/') {
      parts.back() += c;
      continue;
    }
    const std::string part = std::exchange(parts.back(), "");
    if (part.empty() || part == ".") continue;
    parts.pop_back();
    if (part == "..") {
      if (parts.empty()) return Invalid(link + " is a link out of the archive");
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
    parts.emplace_back();
  }
  std::string joined;
  for (const std::string& part : parts) joined.append(joined.empty() || part.empty() ? "" : "/").append(part);
  return joined;
}

}  // namespace

Result<std::unique_ptr<ArchiveFiles>> ArchiveFiles::Scan(int archive_fd, int scratch_dir) {
  struct stat status {};
  if (::fstat(archive_fd, &status) != 0) return Error::Errno("read image archive: stat");
  std::unique_ptr<ArchiveFiles> files(new ArchiveFiles());
  if (S_ISREG(status.st_mode) && ::lseek(archive_fd, 0, SEEK_CUR) == 0) {
    files->whole_ = {archive_fd, 0, static_cast<uint64_t>(status.st_size)};
  } else {
    RETURN_IF_ERROR(files->SpoolRaw(archive_fd, scratch_dir));
  }
  ASSIGN_OR_RETURN(const CompressionKind kind, FindCompression(files->whole_.fd, 0), "read image archive");
  if (kind == CompressionKind::kNone) {
    const std::unique_ptr<ByteSource> source = files->whole_.Open();
    RETURN_IF_ERROR(files->ScanTar(*source));
  } else {
    RETURN_IF_ERROR(files->ScanCompressed(scratch_dir));
  }
  return files;
}

Result<> ArchiveFiles::SpoolRaw(int archive_fd, int scratch_dir) {
  ASSIGN_OR_RETURN(raw_, OpenAt(scratch_dir, "archive", O_RDWR | O_CREAT | O_EXCL, 0600));
  FdSource source(archive_fd);
  ASSIGN_OR_RETURN(const uint64_t size, CopyToFile(source, raw_.get()));
  whole_ = {raw_.get(), 0, size};
  return {};
}

Result<> ArchiveFiles::ScanTar(ByteSource& source) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(source), "read image archive");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar->Next(), "read image archive");
    if (!more) return {};
    RETURN_IF_ERROR(AddEntry(*tar));
  }
}

// Twice through the inflater where an image is in it: a root file system, which is a layer as it stands, need not be
// written out.
Result<> ArchiveFiles::ScanCompressed(int scratch_dir) {
  const std::unique_ptr<ByteSource> packed = whole_.Open();
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> inflated, Inflate(*packed, {.max_output_bytes = kMaxArchiveBytes}),
                   "read image archive");
  HashedSource hashed(*inflated);
  RETURN_IF_ERROR(ScanTar(hashed));
  RETURN_IF_ERROR(hashed.Drain(), "read image archive");  // the checksum is at the end
  inflated_digest_ = hashed.Digest();
  if (!HasImage()) return {};
  ASSIGN_OR_RETURN(spool_, OpenAt(scratch_dir, "spool", O_RDWR | O_CREAT | O_EXCL, 0600));
  const std::unique_ptr<ByteSource> again = whole_.Open();
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> bytes, Inflate(*again, {.max_output_bytes = kMaxArchiveBytes}));
  RETURN_IF_ERROR(CopyToFile(*bytes, spool_.get()));
  for (auto& [name, range] : files_) range.fd = spool_.get();
  return {};
}

Result<> ArchiveFiles::AddEntry(TarReader& tar) {
  const bool many = ++entries_ > kMaxEntries;
  if (many && !problem_) problem_ = Invalid("more than the limit of 10000 entries");
  const char* name = archive_entry_pathname(tar.entry());
  if (name == nullptr || *name == '\0') return Invalid("an entry without a name");
  auto path = CleanLayerPath(name);
  if (path && many && !IsOfImages(*path)) return {};
  if (path) return AddFile(*path, tar);
  if (!problem_) problem_ = std::move(path).error().Wrap("read image archive");
  return {};
}

Result<> ArchiveFiles::AddFile(const std::string& path, TarReader& tar) {
  archive_entry* entry = tar.entry();
  const char* hard_link = archive_entry_hardlink(entry);
  const char* symlink = archive_entry_symlink(entry);
  bool is_new = true;
  if (hard_link != nullptr) {
    is_new = links_.emplace(path, hard_link).second;
  } else if (archive_entry_filetype(entry) == AE_IFLNK && symlink != nullptr) {
    // What leads out of the archive is no file of it.
    if (auto target = ResolveLink(path, symlink)) is_new = links_.emplace(path, *std::move(target)).second;
  } else if (archive_entry_filetype(entry) == AE_IFREG) {
    const int64_t size = archive_entry_size(entry);
    if (size < 0) return Invalid(path + " has no size");
    is_new = files_.emplace(path, ArchiveRange{whole_.fd, tar.DataOffset(), static_cast<uint64_t>(size)}).second;
  }
  if (!is_new && !problem_) problem_ = Invalid(path + " is there twice");
  return {};
}

bool ArchiveFiles::HasImage() const {
  if (std::any_of(std::begin(kOfImages), std::end(kOfImages), [&](const char* name) { return Has(name); })) return true;
  const auto blob = files_.lower_bound("blobs/sha256/");
  return blob != files_.end() && blob->first.starts_with("blobs/sha256/");
}

Result<ArchiveRange> ArchiveFiles::Find(const std::string& name) const {
  std::string path = name;
  for (int links = 0; links <= kMaxLinks; ++links) {
    if (const auto found = files_.find(path); found != files_.end()) return found->second;
    const auto link = links_.find(path);
    if (link == links_.end()) break;
    ASSIGN_OR_RETURN(path, CleanLayerPath(link->second), "read image archive");
  }
  return Invalid(name + " is missing");
}

Result<std::string> ArchiveFiles::ReadDocument(const std::string& name) const {
  ASSIGN_OR_RETURN(const ArchiveRange range, Find(name));
  if (range.size > kMaxDocumentBytes) return Invalid(name + " is larger than 4 MiB");
  return ReadToEnd(*range.Open(), kMaxDocumentBytes);
}

}  // namespace fermata::overlay
