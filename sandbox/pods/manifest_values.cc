#include "sandbox/pods/manifest_values.h"

#include <algorithm>

#include "sandbox/pods/manifest_expand.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

using Map = std::map<std::string, std::string>;

// As Go's %q writes it: kubelet's files of labels have it so.
std::string InGoQuotes(std::string_view text) {
  constexpr std::pair<char, const char*> kEscapes[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"},
                                                       {'\r', "\\r"}, {'\t', "\\t"},  {'\a', "\\a"},
                                                       {'\b', "\\b"}, {'\f', "\\f"},  {'\v', "\\v"}};
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto* escape = std::ranges::find_if(kEscapes, [c](const auto& e) { return e.first == c; });
    if (escape != std::end(kEscapes)) {
      out += escape->second;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += {'\\', 'x', kDigits[static_cast<unsigned char>(c) >> 4], kDigits[c & 0xf]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string OfMap(const Map& map, const std::string& key) {
  if (!key.empty()) {
    const auto found = map.find(key);
    return found == map.end() ? "" : found->second;
  }
  std::string lines;
  for (const auto& [name, value] : map) lines += (lines.empty() ? "" : "\n") + name + "=" + InGoQuotes(value);
  return lines;
}

std::string FirstOf(const std::vector<std::string>& list) { return list.empty() ? "" : list.front(); }

std::string Joined(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& entry : list) text += (text.empty() ? "" : ",") + entry;
  return text;
}

std::string FieldOf(const ValueSource& source, const PodManifest& pod, const PodFacts& facts) {
  const std::pair<std::string_view, std::string> fields[] = {
      {"metadata.name", pod.sandbox.name},
      {"metadata.namespace", pod.sandbox.name_space},
      {"metadata.uid", facts.uid},
      {"spec.nodeName", facts.node_name},
      {"spec.serviceAccountName", "default"},
      {"status.podIP", FirstOf(facts.pod_ips)},
      {"status.podIPs", Joined(facts.pod_ips)},
      {"status.hostIP", FirstOf(facts.host_ips)},
      {"status.hostIPs", Joined(facts.host_ips)},
  };
  if (source.field == "metadata.labels") return OfMap(pod.sandbox.labels, source.key);
  if (source.field == "metadata.annotations") return OfMap(pod.sandbox.annotations, source.key);
  for (const auto& [name, value] : fields) {
    if (name == source.field) return value;
  }
  return "";
}

std::string ResourceOf(const ValueSource& source, const PodManifest& pod, const PodFacts& facts) {
  const PodContainer* found = nullptr;
  for (const auto* list : {&pod.init_containers, &pod.containers}) {
    for (const PodContainer& container : *list) {
      if (container.spec.name == source.container) found = &container;
    }
  }
  if (found == nullptr) return "";
  const bool limit = source.resource.starts_with("limits.");
  const bool cpu = source.resource.ends_with(".cpu");
  const ResourceAmounts& amounts = limit ? found->limits : found->requests;
  const int64_t of_node = cpu ? facts.node_milli_cpu : facts.node_memory_bytes;
  const int64_t amount = (cpu ? amounts.milli_cpu : amounts.memory_bytes).value_or(limit ? of_node : 0);
  return std::to_string(amount / source.divisor + (amount % source.divisor != 0 ? 1 : 0));
}

// Expands into one container's words and counts them, against values that double each other.
class Expander {
 public:
  Result<std::string> Text(std::string_view text) {
    ASSIGN_OR_RETURN(std::string expanded, Expand(text, variables_, left_));
    left_ -= expanded.size();
    return expanded;
  }
  void Set(const std::string& name, const std::string& value) { variables_[name] = value; }

 private:
  Map variables_;
  size_t left_ = kMaxArgumentBytes;
};

Result<> ExpandInto(const std::vector<std::string>& words, Expander& expander, std::vector<std::string>& out,
                    size_t& index) {
  out.clear();
  for (index = 0; index < words.size(); ++index) {
    ASSIGN_OR_RETURN(std::string word, expander.Text(words[index]));
    out.push_back(std::move(word));
  }
  return {};
}

}  // namespace

std::string ValueOf(const ValueSource& source, const PodManifest& pod, const PodFacts& facts) {
  switch (source.kind) {
    case ValueSource::Kind::kField:
      return FieldOf(source, pod, facts);
    case ValueSource::Kind::kResource:
      return ResourceOf(source, pod, facts);
    case ValueSource::Kind::kText:
      break;
  }
  return source.text;
}

Result<> FillProcess(const PodContainer& container, const std::function<std::string(const ValueSource&)>& value_of,
                     ContainerSpec& out, ProcessPlace& place) {
  Expander expander;
  out.env.clear();
  place = {};
  for (; place.index < container.env.size(); ++place.index) {
    const EnvVariable& variable = container.env[place.index];
    std::string value = value_of(variable.value);
    if (variable.expand) {
      ASSIGN_OR_RETURN(value, expander.Text(value));
    }
    expander.Set(variable.name, value);
    out.env.push_back(variable.name + "=" + value);
  }
  place.list = ProcessPlace::List::kCommand;
  RETURN_IF_ERROR(ExpandInto(container.command, expander, out.command, place.index));
  place.list = ProcessPlace::List::kArgs;
  return ExpandInto(container.args, expander, out.args, place.index);
}

}  // namespace fermata::sandbox::pods
