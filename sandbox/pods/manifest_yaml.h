// A YAML document as a tree of nodes that know their line and path. Pure, any thread; the only user of yaml-cpp.
//
// The tree is built from the parser's events: its own nodes lose duplicate keys and expand aliases, both of which
// are errors here. Types are those of YAML 1.1, as kubectl reads it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

// The text that nodes are of, and what was found in it. Owned by whoever parses; outlives the nodes.
struct Source {
  std::string file;            // for places
  bool allow_ignored = false;  // what is not honoured goes to `ignored` instead of `errors`
  std::vector<Error> errors;
  std::vector<std::string> ignored;
};

struct Node {
  enum class Kind : uint8_t { kNull, kText, kPlain, kSequence, kMap };  // kPlain: unquoted, may be a number
  Kind kind = Kind::kNull;
  int line = 0;
  std::string scalar;
  std::vector<std::unique_ptr<Node>> children;  // of a map: no key twice
  std::string key;                              // in the parent, if that is a map
  int key_line = 0;
  size_t index = 0;  // in the parent, if that is a sequence
  const Node* parent = nullptr;
  Source* source = nullptr;

  [[nodiscard]] const Node* Find(std::string_view name) const;  // of a map; null values count as absent
  [[nodiscard]] std::string Path() const;                       // "spec.containers[0].image"; "" for the document
};

// "FILE:LINE: PATH: text"
Error PlaceError(const Node& node, int line, ErrorCode code, const std::string& text);

template <typename... Parts>
Error BadValue(const Node& node, const Parts&... parts) {
  std::string text;
  (text.append(std::string_view(parts)), ...);
  return PlaceError(node, node.line, ErrorCode::kInvalidArgument, text);
}
// About the field, not its value: the line of its name.
Error UnknownField(const Node& node);
// Never to be ignored: what comes of it would be something else.
Error NotSupportedYet(const Node& node, std::string_view what = "");
// The same, unless the source allows to ignore it.
Result<> NotHonoured(const Node& node, std::string_view what = "");

// Errors of siblings, which do not hide each other: each goes to the source once. Uses, and does not own, the source.
class Problems {
 public:
  explicit Problems(Source& source) : source_(source) {}
  explicit Problems(const Node& node) : source_(*node.source) {}
  // True when there was none.
  bool Add(const Result<>& done);
  // An error without a text: the source has it already.
  [[nodiscard]] Result<> Done() const;

 private:
  Source& source_;
  bool any_ = false;
};
// All errors of a source in one, in the order of their lines.
Error JoinedErrors(Source& source);

// What kind of value an unquoted scalar is: "a string", "a number", "a boolean".
std::string_view TypeName(const Node& node);
Result<bool> ReadYamlBool(const Node& node);
Result<int64_t> ReadYamlInt(const Node& node);

// The documents of a text in their order, empty ones left out.
Result<std::vector<std::unique_ptr<Node>>> ParseYaml(std::string_view yaml, Source& source);

}  // namespace fermata::sandbox::pods
