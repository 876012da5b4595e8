// Scratch: a directory, in $TMPDIR or on tmpfs where there is one, with a canary that nobody may touch and an empty
// directory `in` for the code under test. Lives as long as the program.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string>

#include "runtime/base/file.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::fuzz {

class Scratch {
 public:
  Scratch() {
    const char* parent = std::getenv("TMPDIR");
    if (parent == nullptr) parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    path_ = std::string(parent) + "/fermata-fuzz-XXXXXX";
    Check(::mkdtemp(path_.data()) != nullptr, "no scratch directory " + path_);
    directory_ = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
    Check(WriteFileAtomic(directory_.get(), "canary", "alive").has_value(), "no canary");
    struct stat status {};
    Check(::fstatat(directory_.get(), "canary", &status, AT_SYMLINK_NOFOLLOW) == 0, "no canary");
    canary_mode_ = status.st_mode;
    Renew();
  }
  ~Scratch() { (void)RemoveTree(AT_FDCWD, path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] int in() const { return in_.get(); }

  // After each use: nothing beside `in` has changed, and that is empty again.
  void CheckAndRenew() {
    struct stat status {};
    const bool there = ::fstatat(directory_.get(), "canary", &status, AT_SYMLINK_NOFOLLOW) == 0;
    Check(there && status.st_nlink == 1 && status.st_mode == canary_mode_, "the canary is another file");
    Check(*ReadFileAt(directory_.get(), "canary") == "alive", "the canary was written to");
    Check(ListDirectory(directory_.get())->size() == 2, "something was made beside the directory");
    if (::geteuid() != 0) MakeAccessible(directory_.get(), "in");
    const auto removed = RemoveTree(directory_.get(), "in");
    Check(removed.has_value(), removed ? "" : "cannot be removed: " + removed.error().message());
    Renew();
  }

 private:
  // A layer may close its directories to everybody but root.
  static void MakeAccessible(int parent, const std::string& name) {
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode)) return;
    Check(::fchmodat(parent, name.c_str(), 0700, 0) == 0, "chmod " + name);
    const UniqueFd directory = OpenAt(parent, name, O_RDONLY | O_DIRECTORY).value();
    const auto children = ListDirectory(directory.get()).value();
    for (const std::string& child : children) MakeAccessible(directory.get(), child);
  }
  void Renew() {
    Check(::mkdirat(directory_.get(), "in", 0700) == 0, "no directory");
    in_ = OpenAt(directory_.get(), "in", O_RDONLY | O_DIRECTORY).value();
  }

  std::string path_;
  UniqueFd directory_, in_;
  mode_t canary_mode_ = 0;
};

// Bytes as a source, a few at a time.
template <typename Source>
class TextSourceOf : public Source {
 public:
  TextSourceOf(std::string_view text, size_t step) : text_(text), step_(step) {}
  Result<size_t> Read(std::span<char> buffer) override {
    const size_t count = text_.copy(buffer.data(), std::min(buffer.size(), step_));
    text_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view text_;
  size_t step_;
};

}  // namespace fermata::fuzz
