#include "overlay/tree_checksum.h"

#include <dirent.h>
#include <fcntl.h>
#include <isa-l/crc64.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kMaxDepth = 1024;  // the unpacker allows fewer

struct CloseDirectory {
  void operator()(DIR* stream) const { (void)::closedir(stream); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

class Crc {
 public:
  void Add(std::string_view bytes) {
    value_ = ::crc64_ecma_refl(value_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  }
  // With its length in front, so that what follows cannot be taken for a part of it.
  void AddText(std::string_view text) {
    Add(uint64_t{text.size()});
    Add(text);
  }
  void Add(uint64_t number) { Add({reinterpret_cast<const char*>(&number), sizeof number}); }
  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

// What a directory to be walked is called, and where it is open.
struct Level {
  DirectoryStream stream;
  std::string path;
};

class Walker {
 public:
  explicit Walker(const std::atomic<bool>* cancelled) : cancelled_(cancelled), buffer_(kBufferBytes) {}

  Result<uint64_t> Walk(int directory, const std::string& name) {
    RETURN_IF_ERROR(Visit(directory, name, ""));
    while (!stack_.empty()) {
      errno = 0;
      const dirent* entry = ::readdir(stack_.back().stream.get());
      if (entry == nullptr && errno != 0) return Error::Errno("readdir ", stack_.back().path);
      if (entry == nullptr) {
        stack_.pop_back();
        continue;
      }
      const std::string entry_name = entry->d_name;
      if (entry_name == "." || entry_name == "..") continue;
      RETURN_IF_ERROR(Visit(::dirfd(stack_.back().stream.get()), entry_name, stack_.back().path + "/" + entry_name));
    }
    return sum_ == 0 ? 1 : sum_;
  }

 private:
  Result<> Visit(int directory, const std::string& name, const std::string& path) {
    if (cancelled_ != nullptr && *cancelled_) return Error::Make(ErrorCode::kCancelled, "cancelled");
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Error::Errno("stat ", path);
    Crc crc;
    crc.AddText(path);
    // The root's own mode and time are set by whoever mounts it, not by the layer.
    for (const uint64_t field : {uint64_t{status.st_mode}, uint64_t{status.st_uid}, uint64_t{status.st_gid}}) {
      crc.Add(field);
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) crc.Add(uint64_t{status.st_rdev});
    if (S_ISLNK(status.st_mode)) {
      RETURN_IF_ERROR(AddLink(directory, name, path, crc));
    }
    if (S_ISREG(status.st_mode)) {
      RETURN_IF_ERROR(AddFile(directory, name, path, status, crc));
    } else {
      // By the path of /proc, because a descriptor of a link or a device gives none.
      const std::string file = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
      const auto list = [&](char* names, size_t size) { return ::llistxattr(file.c_str(), names, size); };
      const auto get = [&](const char* key, char* value, size_t size) {
        return ::lgetxattr(file.c_str(), key, value, size);
      };
      RETURN_IF_ERROR(AddAttributes(list, get, path, crc));
    }
    sum_ += crc.value();
    if (S_ISDIR(status.st_mode)) return Enter(directory, name, path);
    return {};
  }

  Result<> Enter(int directory, const std::string& name, const std::string& path) {
    if (stack_.size() >= kMaxDepth) return Error::Make(ErrorCode::kInternal, path, ": too deep");
    ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    DirectoryStream stream(::fdopendir(fd.get()));
    if (stream == nullptr) return Error::Errno("fdopendir ", path);
    (void)fd.Release();  // closedir closes it
    stack_.push_back({std::move(stream), path});
    return {};
  }

  static Result<> AddLink(int directory, const std::string& name, const std::string& path, Crc& crc) {
    char target[PATH_MAX];
    const ssize_t size = ::readlinkat(directory, name.c_str(), target, sizeof target);
    if (size < 0) return Error::Errno("readlink ", path);
    crc.AddText({target, static_cast<size_t>(size)});
    return {};
  }

  Result<> AddFile(int directory, const std::string& name, const std::string& path, const struct stat& status,
                   Crc& crc) {
    crc.Add(static_cast<uint64_t>(status.st_size));
    crc.Add(static_cast<uint64_t>(status.st_mtim.tv_sec));
    crc.Add(static_cast<uint64_t>(status.st_nlink));
    // Of several names the content is read once.
    const auto known = status.st_nlink > 1 ? contents_.find(status.st_ino) : contents_.end();
    if (known != contents_.end()) {
      crc.Add(known->second);
      return {};
    }
    ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    Crc inode;
    ASSIGN_OR_RETURN(const uint64_t content, Content(file.get(), status.st_size, path));
    inode.Add(content);
    const auto list = [&](char* names, size_t size) { return ::flistxattr(file.get(), names, size); };
    const auto get = [&](const char* key, char* value, size_t size) {
      return ::fgetxattr(file.get(), key, value, size);
    };
    RETURN_IF_ERROR(AddAttributes(list, get, path, inode));
    crc.Add(inode.value());
    if (status.st_nlink > 1) contents_[status.st_ino] = inode.value();
    return {};
  }

  // Blocks of zeros count for nothing, so that it does not matter what the file system keeps as a hole.
  Result<uint64_t> Content(int file, off_t size, const std::string& path) {
    constexpr auto kBlock = static_cast<off_t>(kBufferBytes);
    Crc crc;
    for (off_t at = 0; at < size; at += kBlock) {
      if (cancelled_ != nullptr && *cancelled_) return Error::Make(ErrorCode::kCancelled, "cancelled");
      if (size > kBlock) {
        const off_t data = ::lseek(file, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // a hole to the end
        if (data > at) at = data - data % kBlock;
      }
      const size_t wanted = static_cast<size_t>(std::min(kBlock, size - at));
      RETURN_IF_ERROR(ReadBlock(file, at, wanted), path);
      const std::string_view block(buffer_.data(), wanted);
      if (block.find_first_not_of('\0') == std::string_view::npos) continue;
      crc.Add(static_cast<uint64_t>(at));
      crc.Add(block);
    }
    return crc.value();
  }

  Result<> ReadBlock(int file, off_t offset, size_t wanted) {
    for (size_t have = 0; have < wanted;) {
      const ssize_t count = ::pread(file, buffer_.data() + have, wanted - have, offset + static_cast<off_t>(have));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Error::Errno("read");
      if (count == 0) return Error::Make(ErrorCode::kInternal, "shorter than its size");
      have += static_cast<size_t>(count);
    }
    return {};
  }

  template <typename List, typename Get>
  static Result<> AddAttributes(const List& list, const Get& get, const std::string& path, Crc& crc) {
    char names[4096];
    const ssize_t size = list(names, sizeof names);
    if (size == 0 || (size < 0 && (errno == ENOTSUP || errno == ERANGE))) return {};
    if (size < 0) return Error::Errno("listxattr ", path);
    std::map<std::string, std::string> attributes;
    for (const char* next = names; next < names + size; next += std::string_view(next).size() + 1) {
      std::string value(65536, '\0');
      const ssize_t length = get(next, value.data(), value.size());
      if (length < 0) continue;  // one that only its security module may read
      value.resize(static_cast<size_t>(length));
      attributes[next] = std::move(value);
    }
    for (const auto& [key, value] : attributes) {
      crc.AddText(key);
      crc.AddText(value);
    }
    return {};
  }

  const std::atomic<bool>* cancelled_;
  std::vector<char> buffer_;
  std::vector<Level> stack_;
  std::map<ino_t, uint64_t> contents_;  // and attributes, of files with several names
  uint64_t sum_ = 0;                    // a sum does not depend on the order of the entries
};

}  // namespace

Result<uint64_t> ChecksumTree(int directory, const std::string& name, const std::atomic<bool>* cancelled) {
  auto sum = Walker(cancelled).Walk(directory, name);
  if (!sum) return std::move(sum).error().Wrap("checksum ", name);
  return sum;
}

}  // namespace fermata::overlay
