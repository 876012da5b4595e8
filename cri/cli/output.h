// What the command line prints: tables, JSON, and lines of several containers with a coloured prefix. Colours only
// on a terminal and unless NO_COLOR is set; text that a tenant wrote never reaches a terminal with control bytes in it.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/printable.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

using fermata::Printable;

// Columns as wide as their longest cell, two spaces between.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// "5 minutes ago".
std::string Age(int64_t unix_ns, int64_t now_ns);
// "5m30s": kubectl's short form.
std::string ShortAge(int64_t unix_ns, int64_t now_ns);
std::string HumanBytes(uint64_t bytes);

// "web  | hello": pads names to one width and gives each a colour of its own.
class PrefixedLines {
 public:
  PrefixedLines(std::vector<std::string> names, bool colour);
  // The prefix of a container's line; empty for a pod of one container.
  [[nodiscard]] std::string Prefix(const std::string& name) const;

 private:
  std::map<std::string, std::string> prefixes_;
};

bool UseColour(int fd);

int64_t NowNs();  // since 1970
// With all fields; on one line unless `pretty`.
std::string JsonOf(const google::protobuf::Message& message, bool pretty);
// Prints `message` as JSON; gives the exit status.
Result<int> PrintJson(const google::protobuf::Message& message);
std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words, const char* separator);
// The first twelve digits.
std::string ShortImageId(const std::string& id);

}  // namespace fermata::cri::cli
