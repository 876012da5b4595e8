#include "overlay/disk_usage.h"

#include <dirent.h>
#include <sys/stat.h>

#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxDepth = 256;
constexpr uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system's blocks are

struct CloseDirectory {
  void operator()(DIR* stream) const { (void)::closedir(stream); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

DirectoryStream OpenStream(int directory, const std::string& name) {
  auto fd = OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return nullptr;
  DirectoryStream stream(::fdopendir(fd->get()));
  if (stream != nullptr) (void)fd->Release();  // closedir closes it
  return stream;
}

class Counter {
 public:
  explicit Counter(dev_t device) : device_(device) {}

  void Count(const struct stat& status) {
    const bool several_names = !S_ISDIR(status.st_mode) && status.st_nlink > 1;
    if (several_names && !seen_.insert(status.st_ino).second) return;
    ++usage_.inodes;
    usage_.bytes += static_cast<uint64_t>(status.st_blocks) * kBlockBytes;
  }

  // One entry of `stream`; a directory to enter comes back as a stream of its own.
  DirectoryStream Visit(DIR* stream, const char* name, bool may_enter) {
    struct stat status {};
    if (::fstatat(::dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) != 0) return nullptr;
    if (status.st_dev != device_) return nullptr;
    Count(status);
    return S_ISDIR(status.st_mode) && may_enter ? OpenStream(::dirfd(stream), name) : nullptr;
  }

  [[nodiscard]] TreeUsage usage() const { return usage_; }

 private:
  dev_t device_;
  std::set<ino_t> seen_;
  TreeUsage usage_;
};

}  // namespace

Result<TreeUsage> CountTree(int directory, const std::string& name, const std::function<bool()>& stop) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Error::Errno("stat ", name);
  Counter counter(status.st_dev);
  counter.Count(status);
  std::vector<DirectoryStream> stack;
  if (S_ISDIR(status.st_mode)) stack.push_back(OpenStream(directory, name));
  while (!stack.empty()) {
    if (stop && stop()) return Error::Make(ErrorCode::kDeadlineExceeded, "count ", name, ": stopped");
    DIR* stream = stack.back().get();
    const dirent* entry = stream != nullptr ? ::readdir(stream) : nullptr;
    if (entry == nullptr) {
      stack.pop_back();
      continue;
    }
    const std::string_view entry_name = entry->d_name;
    if (entry_name == "." || entry_name == "..") continue;
    if (auto child = counter.Visit(stream, entry->d_name, stack.size() < kMaxDepth)) stack.push_back(std::move(child));
  }
  return counter.usage();
}

}  // namespace fermata::overlay
