// ArchiveFiles: the regular files in a tar (plain, gzip or zstd) that may hold an image, by name and place. A plain tar
// that is a regular file is read in place; of a compressed one the inflated bytes are spooled, but only if they look
// like an image (HasImage). Owns the spool, not the caller's descriptor, which has to stay open. Several threads may
// read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "overlay/tar_reader.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

struct ArchiveRange {
  int fd = -1;  // not owned
  uint64_t offset = 0;
  uint64_t size = 0;

  [[nodiscard]] std::unique_ptr<ByteSource> Open() const { return std::make_unique<RangeSource>(fd, offset, size); }
};

class ArchiveFiles {
 public:
  // Spools into files in `scratch_dir`, if needed. kInvalidArgument: no tar, damaged, cut short.
  static Result<std::unique_ptr<ArchiveFiles>> Scan(int archive_fd, int scratch_dir);

  [[nodiscard]] bool Has(const std::string& name) const { return files_.contains(name); }
  // An index.json or manifest.json, or something else that only images have.
  [[nodiscard]] bool HasImage() const;
  [[nodiscard]] uint64_t entries() const { return entries_; }
  // The first thing that no image has but a root file system may: more than 10,000 entries, a name twice.
  [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }

  // By cleaned path; links in the archive are followed. kInvalidArgument when it is missing.
  [[nodiscard]] Result<ArchiveRange> Find(const std::string& name) const;
  // A file of up to 4 MiB in whole.
  [[nodiscard]] Result<std::string> ReadDocument(const std::string& name) const;

  // The archive itself, as it came, and the digest of what is in it when it is compressed.
  [[nodiscard]] const ArchiveRange& whole() const { return whole_; }
  [[nodiscard]] const std::string& inflated_digest() const { return inflated_digest_; }

 private:
  ArchiveFiles() = default;
  Result<> SpoolRaw(int archive_fd, int scratch_dir);
  Result<> ScanTar(ByteSource& source);
  Result<> ScanCompressed(int scratch_dir);
  Result<> AddEntry(TarReader& tar);
  Result<> AddFile(const std::string& path, TarReader& tar);

  UniqueFd raw_;    // where the archive did not come as a file
  UniqueFd spool_;  // the inflated tar
  ArchiveRange whole_;
  std::string inflated_digest_;
  uint64_t entries_ = 0;
  std::optional<Error> problem_;
  std::map<std::string, ArchiveRange> files_;
  std::map<std::string, std::string> links_;  // cleaned path to the path that it means
};

}  // namespace fermata::overlay
