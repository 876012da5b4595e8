// FakeGroup: a temporary directory that stands for a control group, with ordinary files for the control files.
// Owns the directory and removes it with everything in it. For one test, one thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cgroups/cgroup.h"

namespace fermata::cgroups {

class FakeGroup {
 public:
  using Files = std::vector<std::pair<std::string, std::string>>;

  FakeGroup() : FakeGroup(Files{}) {}
  explicit FakeGroup(const Files& files) {
    std::string name = (std::filesystem::temp_directory_path() / "fermata-cgroup-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) == nullptr ? "" : name;
    for (const auto& [file, content] : files) Write(file, content);
  }
  FakeGroup(const FakeGroup&) = delete;
  FakeGroup& operator=(const FakeGroup&) = delete;
  ~FakeGroup() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] Cgroup Open() const {
    return Cgroup::FromDirectory(UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  }

  void Write(const std::string& file, const std::string& content) const {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << content;
  }
  [[nodiscard]] std::string Content(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(path_ / file).rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path path_;
};

// For EXPECT_TRUE and ASSERT_TRUE: says what the error was.
template <typename T>
testing::AssertionResult Succeeded(const Result<T>& result) {
  if (result) return testing::AssertionSuccess();
  return testing::AssertionFailure() << result.error().message();
}

template <typename T>
testing::AssertionResult FailsWith(ErrorCode code, const Result<T>& result) {
  if (result) return testing::AssertionFailure() << "it succeeded";
  if (result.error().code() == code) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "another code, with: " << result.error().message();
}

}  // namespace fermata::cgroups
