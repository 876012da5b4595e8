// Volumes of files that come out of a manifest, laid out as kubelet's: the files in a directory with a date in its
// name,
// "..data" a link to it, and a link into "..data" for each name at the top. Whoever watches them finds what it knows.
// Written once, before any container sees it. Stateless; any thread; errors never show a content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

struct FileContent {
  std::string path;  // relative, without ".."; no two alike
  std::string text;
  uint32_t mode = 0644;
};

// Into the empty `directory`. With a group all of it belongs to the group, which may read.
Result<> WriteFileVolume(int directory, const std::vector<FileContent>& files, std::optional<int64_t> group);

}  // namespace fermata::sandbox::pods
