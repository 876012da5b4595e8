#include "sandbox/pods/manifest_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>
#include <sstream>

#include "sandbox/pods/manifest.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxNodes = 100000;
constexpr size_t kMaxKeyBytes = 1024;

std::string Place(const std::string& file, int line) { return file + ":" + std::to_string(line) + ": "; }

// Events into one tree. After the first error the rest is ignored: the parser cannot be told to stop.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Source& source) : source_(source) {}

  std::unique_ptr<Node> TakeRoot() { return std::move(root_); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  [[nodiscard]] const YAML::Mark& begin() const { return begin_; }  // of the document

  void OnDocumentStart(const YAML::Mark& mark) override { begin_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (anchor != 0) return Fail(mark, "anchors are not supported");
    Scalar(mark, Node::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Fail(mark, "aliases are not supported"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!CheckExtras(mark, tag, anchor)) return;
    Scalar(mark, tag == "?" ? Node::Kind::kPlain : Node::Kind::kText, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    if (CheckExtras(mark, tag, anchor)) Open(mark, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    if (CheckExtras(mark, tag, anchor)) Open(mark, Node::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    Node* node;
    std::set<std::string> keys;
    bool have_key = false;  // of a map: the next node is the value
    std::string key;
    int key_line = 0;
  };

  static int Line(const YAML::Mark& mark) { return mark.line + 1; }

  void Fail(const YAML::Mark& mark, std::string_view text) {
    if (!error_) error_ = Error::Make(ErrorCode::kInvalidArgument, Place(source_.file, Line(mark)), text);
  }

  bool CheckExtras(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Fail(mark, "anchors are not supported");
    if (!tag.empty() && tag != "?" && tag != "!") Fail(mark, "tags are not supported");
    return !error_;
  }

  bool WantsKey() const {
    return !levels_.empty() && levels_.back().node->kind == Node::Kind::kMap && !levels_.back().have_key;
  }

  void Scalar(const YAML::Mark& mark, Node::Kind kind, const std::string& value) {
    if (error_) return;
    if (value.find('\0') != std::string::npos) return Fail(mark, "NUL byte in a string");
    if (WantsKey()) return Key(mark, value);
    if (Node* node = Add(mark, kind)) node->scalar = value;
  }

  void Key(const YAML::Mark& mark, const std::string& key) {
    Level& level = levels_.back();
    if (key.empty() || key.size() > kMaxKeyBytes) return Fail(mark, "the name of a field has 1 to 1024 bytes");
    level.have_key = true;
    level.key = key;
    level.key_line = Line(mark);
    if (level.keys.insert(key).second) return;
    Node field;
    field.key = key;
    field.parent = level.node;
    field.source = &source_;
    error_ = PlaceError(field, Line(mark), ErrorCode::kInvalidArgument, "given twice");
  }

  Node* Add(const YAML::Mark& mark, Node::Kind kind) {
    if (++count_ > kMaxNodes) Fail(mark, "over 100000 values");
    if (error_) return nullptr;
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->line = Line(mark);
    node->source = &source_;
    Node* const added = node.get();
    if (levels_.empty()) {
      root_ = std::move(node);
      return added;
    }
    Level& level = levels_.back();
    node->parent = level.node;
    node->index = level.node->children.size();
    node->key = std::exchange(level.key, "");
    node->key_line = level.have_key ? level.key_line : node->line;
    level.have_key = false;
    level.node->children.push_back(std::move(node));
    return added;
  }

  void Open(const YAML::Mark& mark, Node::Kind kind) {
    if (WantsKey()) return Fail(mark, "the name of a field must be a string");
    if (levels_.size() >= kMaxDepth) return Fail(mark, "nested deeper than 32");
    if (Node* node = Add(mark, kind)) levels_.push_back({.node = node, .keys = {}, .key = {}});
  }

  void Close() {
    if (!error_ && !levels_.empty()) levels_.pop_back();
  }

  Source& source_;
  YAML::Mark begin_;
  std::unique_ptr<Node> root_;
  std::vector<Level> levels_;
  size_t count_ = 0;
  std::optional<Error> error_;
};

// Bytes of the UTF-8 character at the front; 0 if it is none, or one that YAML forbids. yaml-cpp takes 0x04 for
// the end of the text and passes everything else through.
size_t CharacterLength(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 || byte(0) == '\t' || byte(0) == '\n' || byte(0) == '\r' ? 1 : 0;
  const size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  const bool outside = (byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f);
  return overlong || outside ? 0 : length;
}

Result<> CheckText(std::string_view yaml, const std::string& file) {
  if (yaml.size() > kMaxManifestBytes) return Error::Make(ErrorCode::kInvalidArgument, file, ": larger than 4 MiB");
  int line = 1;
  while (!yaml.empty()) {
    const size_t length = CharacterLength(yaml);
    if (length == 0) {
      return Error::Make(ErrorCode::kInvalidArgument, Place(file, line), "control character or invalid UTF-8");
    }
    if (yaml.front() == '\n') ++line;
    yaml.remove_prefix(length);
  }
  return {};
}

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}
bool IsTrue(std::string_view text) {
  return IsOneOf(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"});
}
bool IsFalse(std::string_view text) {
  return IsOneOf(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"});
}

bool IsNumber(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (IsOneOf(text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return true;
  int64_t whole = 0;
  for (const auto& [prefix, base] : {std::pair("0x", 16), {"0o", 8}, {"0b", 2}}) {
    if (!text.starts_with(prefix)) continue;
    const char* const end = text.data() + text.size();
    return text.size() > 2 && std::from_chars(text.data() + 2, end, whole, base).ptr == end;
  }
  if (text.empty() || text.find_first_not_of("0123456789.eE+-_") != std::string_view::npos) return false;
  std::string digits(text);
  std::erase(digits, '_');
  if (digits.empty() || (digits.front() != '.' && (digits.front() < '0' || digits.front() > '9'))) return false;
  double number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return code != std::errc::invalid_argument && end == digits.data() + digits.size();
}

}  // namespace

const Node* Node::Find(std::string_view name) const {
  for (const auto& child : children) {
    if (kind == Kind::kMap && child->key == name) return child->kind == Kind::kNull ? nullptr : child.get();
  }
  return nullptr;
}

std::string Node::Path() const {
  if (parent == nullptr) return "";
  const std::string before = parent->Path();
  if (parent->kind == Kind::kSequence) return before + "[" + std::to_string(index) + "]";
  // A name that is no word is shown quoted, with its control characters masked.
  const bool word = key.size() <= 80 && std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
  return before + (before.empty() ? "" : ".") + (word ? key : Quoted(key));
}

Error PlaceError(const Node& node, int line, ErrorCode code, const std::string& text) {
  const std::string path = node.Path();
  return Error::Make(code, Place(node.source->file, line), path, path.empty() ? "" : ": ", text);
}

Error UnknownField(const Node& node) {
  return PlaceError(node, node.key_line, ErrorCode::kInvalidArgument, "unknown field");
}

Error NotSupportedYet(const Node& node, std::string_view what) {
  const std::string text = (what.empty() ? "" : std::string(what) + " is ") + "not supported yet";
  return PlaceError(node, node.key_line, ErrorCode::kUnimplemented, text);
}

Result<> NotHonoured(const Node& node, std::string_view what) {
  if (!node.source->allow_ignored) return NotSupportedYet(node, what);
  const std::string text = (what.empty() ? "" : std::string(what) + " is ") + "ignored";
  node.source->ignored.push_back(PlaceError(node, node.key_line, ErrorCode::kUnimplemented, text).message());
  return {};
}

bool Problems::Add(const Result<>& done) {
  if (done) return true;
  any_ = true;
  if (!done.error().message().empty()) source_.errors.push_back(done.error());
  return false;
}

Result<> Problems::Done() const { return any_ ? Result<>(Error(ErrorCode::kInvalidArgument, "")) : Result<>(); }

Error JoinedErrors(Source& source) {
  constexpr size_t kMost = 100;
  const size_t place = source.file.size() + 1;
  const auto line = [place](const Error& error) { return std::atoi(error.message().c_str() + place); };
  std::stable_sort(source.errors.begin(), source.errors.end(),
                   [&](const Error& a, const Error& b) { return line(a) < line(b); });
  ErrorCode code = ErrorCode::kUnimplemented;  // when nothing is wrong but that
  std::string text;
  for (size_t i = 0; i < source.errors.size(); ++i) {
    if (source.errors[i].code() != ErrorCode::kUnimplemented) code = ErrorCode::kInvalidArgument;
    if (i < kMost) text += (i == 0 ? "" : "\n") + source.errors[i].message();
  }
  if (source.errors.size() > kMost) text += "\nand " + std::to_string(source.errors.size() - kMost) + " more";
  return {code, std::move(text)};
}

std::string_view TypeName(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMap:
      return "an object";
    case Node::Kind::kText:
      return "a string";
    case Node::Kind::kPlain:
      break;
  }
  if (IsTrue(node.scalar) || IsFalse(node.scalar)) return "a boolean";
  return IsNumber(node.scalar) ? "a number" : "a string";
}

Result<bool> ReadYamlBool(const Node& node) {
  if (TypeName(node) != "a boolean") return BadValue(node, "must be true or false, not ", TypeName(node));
  return IsTrue(node.scalar);
}

Result<int64_t> ReadYamlInt(const Node& node) {
  if (TypeName(node) != "a number") return BadValue(node, "must be a number, not ", TypeName(node));
  int64_t value = 0;
  const char* const end = node.scalar.data() + node.scalar.size();
  const bool plus = node.scalar.front() == '+';
  const bool octal = node.scalar.size() > 1 && node.scalar.front() == '0';  // or hexadecimal; 010 is ambiguous
  const auto [parsed, code] = std::from_chars(node.scalar.data() + (plus ? 1 : 0), end, value);
  if (octal || parsed != end || code != std::errc{}) return BadValue(node, Quoted(node.scalar), " is no whole number");
  return value;
}

Result<std::vector<std::unique_ptr<Node>>> ParseYaml(std::string_view yaml, Source& source) {
  const std::string& file = source.file;
  RETURN_IF_ERROR(CheckText(yaml, file));
  std::vector<std::unique_ptr<Node>> documents;
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    for (int last = -1;;) {
      TreeBuilder builder(source);
      if (!parser.HandleNextDocument(builder)) break;
      // Some text (",") yaml-cpp 0.7 neither takes nor refuses: it finds an empty document there again and again.
      const YAML::Mark& begin = builder.begin();
      if (begin.pos == last) return Error::Make(ErrorCode::kInvalidArgument, Place(file, begin.line + 1), "not YAML");
      last = begin.pos;
      if (builder.error()) return *builder.error();
      std::unique_ptr<Node> root = builder.TakeRoot();
      if (root && root->kind != Node::Kind::kNull) documents.push_back(std::move(root));
    }
  } catch (const YAML::Exception& e) {
    return Error::Make(ErrorCode::kInvalidArgument, Place(file, e.mark.line + 1), "not YAML: ", e.msg);
  }
  return documents;
}

}  // namespace fermata::sandbox::pods
