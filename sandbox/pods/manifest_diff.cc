#include "sandbox/pods/manifest_diff.h"

#include <algorithm>
#include <map>

#include "sandbox/pods/manifest_yaml.h"

namespace fermata::sandbox::pods {
namespace {

using Documents = std::map<std::string, const Node*>;  // by "Kind/namespace/name"

std::string TextOf(const Node* node) { return node == nullptr ? "" : node->scalar; }

void AddDocument(const Node& document, const std::string& pod, Documents& out) {
  const std::string kind = TextOf(document.Find("kind"));
  if (kind == "List") {
    const Node* items = document.Find("items");
    if (items == nullptr) return;
    for (const auto& item : items->children) AddDocument(*item, pod, out);
    return;
  }
  const Node* metadata = document.Find("metadata");
  const std::string name = metadata == nullptr ? "" : TextOf(metadata->Find("name"));
  const std::string name_space = metadata == nullptr ? "" : TextOf(metadata->Find("namespace"));
  if (kind == "Pod" && name != pod) return;
  out[kind + "/" + (name_space.empty() || name_space == "default" ? "" : name_space + "/") + name] = &document;
}

class Differ {
 public:
  void Compare(const std::string& name, const Node* before, const Node* after) {
    prefix_ = name.starts_with("Pod/") ? "" : name + ": ";
    secret_ = name.starts_with("Secret/");
    CompareNodes("", before, after);
  }
  std::vector<FieldDifference> found;

 private:
  [[nodiscard]] std::string Shown(const std::string& path, const Node* node) const {
    if (node == nullptr) return "<none>";
    if (node->kind == Node::Kind::kMap) return "{...}";
    if (node->kind == Node::Kind::kSequence) return "[...]";
    const bool is_variable = path.find("env[") != std::string::npos && path.ends_with(".value");
    return secret_ || is_variable ? "<hidden>" : node->scalar;
  }

  // A null is an absent field.
  static const Node* Present(const Node* node) {
    return node == nullptr || node->kind == Node::Kind::kNull ? nullptr : node;
  }

  void CompareNodes(const std::string& path, const Node* before, const Node* after) {
    before = Present(before);
    after = Present(after);
    if (before == nullptr && after == nullptr) return;
    const bool both = before != nullptr && after != nullptr;
    if (both && before->kind == Node::Kind::kMap && after->kind == Node::Kind::kMap) {
      return CompareMaps(path, *before, *after);
    }
    if (both && before->kind == Node::Kind::kSequence && after->kind == Node::Kind::kSequence) {
      return CompareLists(path, *before, *after);
    }
    // What is typed has passed its reader on both sides: quotes make no difference.
    const bool scalars = both && before->children.empty() && after->children.empty();
    if (scalars && before->scalar == after->scalar) return;
    found.push_back({prefix_ + path, Shown(path, before), Shown(path, after)});
  }

  void CompareMaps(const std::string& path, const Node& before, const Node& after) {
    std::map<std::string, std::pair<const Node*, const Node*>> children;
    for (const auto& child : before.children) children[child->key].first = child.get();
    for (const auto& child : after.children) children[child->key].second = child.get();
    for (const auto& [key, sides] : children) {
      if (path.empty() && key == "status") continue;  // is never read
      CompareNodes(path.empty() ? key : path + "." + key, sides.first, sides.second);
    }
  }

  void CompareLists(const std::string& path, const Node& before, const Node& after) {
    const size_t size = std::max(before.children.size(), after.children.size());
    const auto at = [](const Node& list, size_t i) {
      return i < list.children.size() ? list.children[i].get() : nullptr;
    };
    for (size_t i = 0; i < size; ++i) {
      CompareNodes(path + "[" + std::to_string(i) + "]", at(before, i), at(after, i));
    }
  }

  std::string prefix_;
  bool secret_ = false;
};

}  // namespace

Result<std::vector<FieldDifference>> DiffManifests(std::string_view before, std::string_view after,
                                                   const std::string& pod) {
  Source old_source{"recorded manifest", true, {}, {}};
  Source new_source{"manifest", true, {}, {}};
  ASSIGN_OR_RETURN(const auto old_nodes, ParseYaml(before, old_source));
  ASSIGN_OR_RETURN(const auto new_nodes, ParseYaml(after, new_source));
  Documents old_documents, new_documents;
  for (const auto& document : old_nodes) AddDocument(*document, pod, old_documents);
  for (const auto& document : new_nodes) AddDocument(*document, pod, new_documents);
  std::map<std::string, std::pair<const Node*, const Node*>> all;
  for (const auto& [name, document] : old_documents) all[name].first = document;
  for (const auto& [name, document] : new_documents) all[name].second = document;
  Differ differ;
  for (const auto& [name, sides] : all) differ.Compare(name, sides.first, sides.second);
  return std::move(differ.found);
}

}  // namespace fermata::sandbox::pods
