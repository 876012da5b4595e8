// PathHelper: questions about paths of others, asked by a process that is killed when the answer does not come.
// Owns the program's sealed memory file. Thread-safe; several questions at once; the calling thread waits, and must
// not hold a lock meanwhile.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "overlay/unpack_process.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/helper/answer.h"

namespace fermata::runtime {

class PathHelper {
 public:
  using MakeGroup = std::function<Result<std::unique_ptr<overlay::HelperGroup>>()>;

  // `program`: fermata-helper. `make_group` empty: it stays in our control group.
  PathHelper(UniqueFd program, MakeGroup make_group, std::chrono::milliseconds deadline = std::chrono::seconds(10))
      : program_(std::move(program)), make_group_(std::move(make_group)), deadline_(deadline) {}

  // What is at `path`; its `error` says if nothing is. kDeadlineExceeded.
  [[nodiscard]] Result<PathAnswer> Stat(const std::string& path) const { return Ask("stat", path); }
  // The same after making what is missing, with the directories above it.
  [[nodiscard]] Result<PathAnswer> MakeDirectory(const std::string& path) const { return Ask("directory", path); }
  [[nodiscard]] Result<PathAnswer> MakeFile(const std::string& path) const { return Ask("file", path); }

 private:
  [[nodiscard]] Result<PathAnswer> Ask(const char* what, const std::string& path) const;

  UniqueFd program_;
  MakeGroup make_group_;
  std::chrono::milliseconds deadline_;
};

}  // namespace fermata::runtime
