#include "sandbox/pods/manifest_read.h"

#include <algorithm>

#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxSubdomain = 253;
constexpr size_t kMaxAnnotationBytes = size_t{256} << 10;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsAlphanumeric(char c) { return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z'); }

bool IsDnsLabel(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && IsLowerOrDigit(text.front()) && IsLowerOrDigit(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

bool IsDnsSubdomain(std::string_view text) {
  if (text.size() > kMaxSubdomain) return false;
  while (true) {
    const size_t dot = text.find('.');
    // The parts of a subdomain may be longer than a label; only the whole is limited.
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || !IsLowerOrDigit(part.front()) || !IsLowerOrDigit(part.back()) ||
        !std::all_of(part.begin(), part.end(), [](char c) { return IsLowerOrDigit(c) || c == '-'; })) {
      return false;
    }
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// "app", "app.kubernetes.io/name": the value's alphabet is that of a name, and it may be empty.
bool IsLabelName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && IsAlphanumeric(text.front()) && IsAlphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}
bool IsLabelKey(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return IsLabelName(key);
  return IsDnsSubdomain(key.substr(0, slash)) && IsLabelName(key.substr(slash + 1));
}

Result<std::optional<std::string>> OptionalString(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  return std::optional(std::move(text));
}
constexpr Field<NamedValue> kNamedValueFields[] = {
    {"name", Put<&NamedValue::name, ReadString>},
    {"value", Put<&NamedValue::value, OptionalString>},
};
}  // namespace

Result<> ExpectMap(const Node& node) {
  if (node.kind == Node::Kind::kMap) return {};
  return BadValue(node, "must be an object, not ", TypeName(node));
}

Result<> ExpectList(const Node& node) {
  if (node.kind == Node::Kind::kSequence) return {};
  return BadValue(node, "must be a list, not ", TypeName(node));
}

Result<std::string> ReadString(const Node& node) {
  const std::string_view type = TypeName(node);
  if (type == "a string") return node.scalar;
  return BadValue(node, "must be a string, not ", type, node.kind == Node::Kind::kPlain ? "; put it in quotes" : "");
}

Result<std::vector<std::string>> ReadStrings(const Node& node) { return ReadList<std::string>(node, ReadString); }

Result<std::map<std::string, std::string>> ReadStringMap(const Node& node) {
  RETURN_IF_ERROR(ExpectMap(node));
  Problems problems(node);
  std::map<std::string, std::string> map;
  for (const auto& child : node.children) {
    auto text = child->kind == Node::Kind::kNull ? Result<std::string>("") : ReadString(*child);
    if (text) {
      map[child->key] = *std::move(text);
    } else {
      problems.Add(text.error());
    }
  }
  RETURN_IF_ERROR(problems.Done());
  return map;
}

Result<int64_t> ReadUserId(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t id, ReadYamlInt(node));
  if (auto checked = CheckId(id); !checked) return AtNode(node, checked.error());
  return id;
}

Result<std::vector<int64_t>> ReadUserIds(const Node& node) { return ReadList<int64_t>(node, ReadUserId); }

Result<std::string> ReadDnsLabel(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  if (!IsDnsLabel(text)) {
    return BadValue(node, Quoted(text), " must be 1 to 63 of a-z, 0-9 and '-', a letter or digit at both ends");
  }
  return text;
}

Result<std::string> ReadDnsSubdomain(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  if (!IsDnsSubdomain(text)) {
    return BadValue(node, Quoted(text), " must be 1 to 253 of a-z, 0-9, '-' and '.', a letter or digit at each end");
  }
  return text;
}

Result<std::string> ReadIp(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  if (!IsIpAddress(text)) return BadValue(node, Quoted(text), " is no IP address");
  return text;
}

Result<std::string> ReadAbsolutePath(const Node& node) {
  ASSIGN_OR_RETURN(std::string text, ReadString(node));
  if (auto checked = CheckAbsolutePath(text); !checked) return AtNode(node, checked.error());
  return text;
}

Result<std::map<std::string, std::string>> ReadLabels(const Node& node) {
  ASSIGN_OR_RETURN(auto labels, ReadStringMap(node));
  Problems problems(node);
  for (const auto& child : node.children) {
    const std::string& value = labels[child->key];
    if (!IsLabelKey(child->key)) {
      problems.Add(BadValue(*child, "not a valid name of a label"));
    } else if (!value.empty() && !IsLabelName(value)) {
      problems.Add(BadValue(*child, Quoted(value), " is no valid value of a label"));
    }
  }
  RETURN_IF_ERROR(problems.Done());
  return labels;
}

Result<std::map<std::string, std::string>> ReadAnnotations(const Node& node) {
  ASSIGN_OR_RETURN(auto annotations, ReadStringMap(node));
  size_t bytes = 0;
  for (const auto& [key, value] : annotations) bytes += key.size() + value.size();
  if (bytes > kMaxAnnotationBytes) return BadValue(node, "larger than 256 KiB");
  for (const auto& child : node.children) {
    std::string key = child->key;  // kubectl takes annotations in any case
    std::transform(key.begin(), key.end(), key.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (!IsLabelKey(key)) return BadValue(*child, "not a valid name of an annotation");
  }
  return annotations;
}

Result<RestartPolicy> ReadRestartPolicy(const Node& node) {
  ASSIGN_OR_RETURN(const std::string policy, ReadString(node));
  if (policy == "Always") return RestartPolicy::kAlways;
  if (policy == "OnFailure") return RestartPolicy::kOnFailure;
  if (policy == "Never") return RestartPolicy::kNever;
  return BadValue(node, Quoted(policy), " is none of Always, OnFailure and Never");
}

Result<NamedValue> ReadNamedValue(const Node& node) {
  NamedValue draft;
  RETURN_IF_ERROR(ReadObject(node, kNamedValueFields, draft));
  RETURN_IF_ERROR(Require(node, "name", !draft.name.empty()));
  return draft;
}

Result<std::string> ReadImage(const Node& node) {
  ASSIGN_OR_RETURN(std::string image, ReadString(node));
  if (image.empty() || image.find_first_of(" \t\r\n") != std::string::npos) {
    return BadValue(node, Quoted(image), " is no image");
  }
  return image;
}

Result<PullPolicy> ReadPullPolicy(const Node& node) {
  ASSIGN_OR_RETURN(const std::string policy, ReadString(node));
  if (policy == "Always") return PullPolicy::kAlways;
  if (policy == "IfNotPresent") return PullPolicy::kIfNotPresent;
  if (policy == "Never") return PullPolicy::kNever;
  return BadValue(node, Quoted(policy), " is none of Always, IfNotPresent and Never");
}

Result<> ReadNothing(const Node&) { return {}; }

Result<> OnlyFalse(const Node& node) {
  ASSIGN_OR_RETURN(const bool value, ReadYamlBool(node));
  if (value) return NotHonoured(node);
  return {};
}

Result<> OnlyTrue(const Node& node) {
  ASSIGN_OR_RETURN(const bool value, ReadYamlBool(node));
  if (!value) return NotHonoured(node, "false");
  return {};
}

Result<> OnlyText(const Node& node, std::string_view harmless) {
  ASSIGN_OR_RETURN(const std::string value, ReadString(node));
  if (value != harmless) return NotHonoured(node, Quoted(value));
  return {};
}

Result<> Require(const Node& object, std::string_view name, bool there) {
  if (there) return {};
  return BadValue(object, name, " is missing");
}

}  // namespace fermata::sandbox::pods
