// What a command lists, and the forms in which it is printed: a table, -o json|yaml|wide|name, or a template. One
// thread.
#pragma once

#include <google/protobuf/message.h>
#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

struct Column {
  std::string title, field;  // the field is the name for templates
  enum class Shown : uint8_t { kAlways, kWide, kTemplates } shown = Shown::kAlways;
};

struct Listing {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // a printable cell for each column
  std::string kind;                            // of -o name: "pod" makes "pod/web"
  size_t name_column = 0;
};

// `message` is what json and yaml show. An error of the template comes before anything is printed.
Result<int> PrintListing(const Global& global, const Listing& listing, const google::protobuf::Message& message);
// JSON, or YAML when that is asked for.
Result<int> PrintMessage(const Global& global, const google::protobuf::Message& message);
// The same values; strings that could be taken for something else are quoted.
std::string YamlOfJson(const std::string& json);

// -o and --format for a command that lists; without them -o json|yaml for one that shows a thing.
void AddListOptions(CLI::App& command, Global& global);
void AddShowOptions(CLI::App& command, Global& global);

}  // namespace fermata::cri::cli
