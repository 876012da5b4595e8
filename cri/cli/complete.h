// Completion in shells: the scripts that `fermata completion` prints ask the program itself what may come next, so that
// they know what it knows.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cri::cli {

inline constexpr std::string_view kCompleteCommand = "__complete";  // with "--" and the words after the program's name

struct Candidate {
  std::string word, description;
};
struct Candidates {
  std::vector<Candidate> words;
  bool files = false;  // the shell's own
};
// The names that an argument of a kind may have: "POD", "IMAGE".
using NameSource = std::function<std::vector<std::string>(const std::string& kind)>;

// What may stand in the place of the last of the words, which may be empty. Pure but for `names`.
Candidates Complete(const CLI::App& app, const std::vector<std::string>& words, const NameSource& names);
// With the names that a daemon knows, if one is there. A line each: the word, a tab, its description; ":files".
int PrintCandidates(const CLI::App& app, const std::vector<std::string>& words);

// Prints the script of bash, zsh or fish.
Result<int> Completion(const std::string& shell);

}  // namespace fermata::cri::cli
