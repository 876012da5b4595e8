#include "cri/cli/complete.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

constexpr const char* kBash = R"(# bash completion of fermata: source <(fermata completion bash)
_fermata() {
  local line files=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = :files ]; then files=1; else COMPREPLY+=("${line%%$'\t'*}"); fi
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
  fi
}
complete -F _fermata fermata
)";

constexpr const char* kZsh = R"(#compdef fermata
# zsh completion of fermata: source <(fermata completion zsh), or as _fermata in a directory of $fpath
_fermata() {
  local line files=
  local -a found
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1
    else found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}"); fi
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe fermata found
  [[ -n $files ]] && _files
}
compdef _fermata fermata
)";

constexpr const char* kFish = R"(# fish completion of fermata: fermata completion fish | source
function __fermata_candidates
  set -l words (commandline -opc) (commandline -ct)
  fermata __complete -- $words[2..-1] 2>/dev/null
end
complete -c fermata -f -a '(__fermata_candidates | string match -v :files)'
complete -c fermata -n '__fermata_candidates | string match -q :files' -F
)";

std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

// Of the command and those above it, which take theirs behind it too.
const CLI::Option* FindOption(const CLI::App* app, const std::string& word) {
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      if (std::ranges::count(NamesOf(*option), word) > 0) return option;
    }
  }
  return nullptr;
}

bool TakesValue(const CLI::Option& option) { return option.get_expected_min() > 0; }

// "{a,b}" in what CLI11 says of the values of an option.
std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

class Completer {
 public:
  Completer(const CLI::App& app, std::string last, const NameSource& names)
      : app_(&app), last_(std::move(last)), names_(names) {}

  void Pass(const std::string& word) {
    if (value_of_ != nullptr) {
      value_of_ = nullptr;
    } else if (word == "--") {
      only_arguments_ = true;
    } else if (!only_arguments_ && word.starts_with('-')) {
      const CLI::Option* option = FindOption(app_, word);
      if (option != nullptr && TakesValue(*option)) value_of_ = option;
    } else {
      PassWord(word);
    }
  }

  Candidates Find() && {
    if (value_of_ != nullptr) {
      AddValues(*value_of_);
    } else if (!only_arguments_ && last_.starts_with('-')) {
      for (const CLI::App* app = app_; app != nullptr; app = app->get_parent()) AddOptions(*app);
    } else {
      for (const CLI::App* sub : app_->get_subcommands(nullptr)) Add(sub->get_name(), sub->get_description());
      if (const CLI::Option* argument = Argument()) AddValues(*argument);
    }
    return std::move(found_);
  }

 private:
  void PassWord(const std::string& word) {
    for (const CLI::App* sub : app_->get_subcommands(nullptr)) {
      if (arguments_ > 0 || sub->get_name() != word) continue;
      app_ = sub;
      return;
    }
    ++arguments_;
  }

  // The one that comes next; the last one may be several.
  [[nodiscard]] const CLI::Option* Argument() const {
    size_t place = 0;
    for (const CLI::Option* option : app_->get_options()) {
      if (!option->get_positional()) continue;
      if (place++ == arguments_ || option->get_expected_max() > 1) return option;
    }
    return nullptr;
  }

  void Add(const std::string& word, const std::string& description) {
    if (word.starts_with(last_)) found_.words.push_back({word, description});
  }
  void AddOptions(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : NamesOf(*option)) Add(name, option->get_description());
    }
  }
  void AddValues(const CLI::Option& option) {
    const std::vector<std::string> values = ValuesOf(option);
    for (const std::string& value : values) Add(value, option.get_description());
    if (!values.empty()) return;
    const std::string& kind = option.get_name(true);
    for (const std::string& each : CLI::detail::split(kind, '|')) {
      found_.files |= each == "FILE" || each == "--authfile" || each == "--socket" || each == "--output";
      for (const std::string& name : names_(each)) Add(name, "");
    }
  }

  const CLI::App* app_;
  std::string last_;
  const NameSource& names_;
  size_t arguments_ = 0;
  bool only_arguments_ = false;
  const CLI::Option* value_of_ = nullptr;
  Candidates found_;
};

// Never starts a daemon, and gives up soon: somebody waits at a key.
std::vector<std::string> NamesOfDaemon(const std::string& kind) {
  constexpr auto kPatience = std::chrono::seconds(2);
  std::vector<std::string> names;
  if (kind != "POD" && kind != "IMAGE") return names;
  const auto client = ConnectRunning("");
  if (!client) return names;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  if (kind == "POD") {
    fv1::ListPodsResponse pods;
    if (!client->pods->List(&context, {}, &pods).ok()) return names;
    for (const fv1::PodStatus& pod : pods.pods()) names.push_back(pod.name());
  } else {
    fv1::ListImagesResponse images;
    if (!client->images->List(&context, {}, &images).ok()) return names;
    for (const fv1::ImageInfo& image : images.images())
      names.insert(names.end(), image.tags().begin(), image.tags().end());
  }
  return names;
}

}  // namespace

Candidates Complete(const CLI::App& app, const std::vector<std::string>& words, const NameSource& names) {
  Completer completer(app, words.empty() ? "" : words.back(), names);
  for (size_t i = 0; i + 1 < words.size(); ++i) completer.Pass(words[i]);
  return std::move(completer).Find();
}

int PrintCandidates(const CLI::App& app, const std::vector<std::string>& words) {
  const Candidates candidates = Complete(app, words, NamesOfDaemon);
  for (const Candidate& candidate : candidates.words) {
    std::cout << Printable(candidate.word) << "\t" << Printable(candidate.description) << "\n";
  }
  if (candidates.files) std::cout << ":files\n";
  return 0;
}

Result<int> Completion(const std::string& shell) {
  std::cout << (shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish);
  return 0;
}

}  // namespace fermata::cri::cli
