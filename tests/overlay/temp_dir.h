// TempDir: a directory below $TMPDIR or /tmp that is removed with the object. One thread at a time.
#pragma once

#include <stdlib.h>

#include <cstdlib>
#include <string>

#include "runtime/base/file.h"

namespace fermata::overlay::testing {

class TempDir {
 public:
  TempDir() {
    const char* parent = std::getenv("TMPDIR");
    path_ = std::string(parent != nullptr ? parent : "/tmp") + "/fermata-overlay-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
    fd_ = OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { (void)RemoveTree(AT_FDCWD, path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace fermata::overlay::testing
