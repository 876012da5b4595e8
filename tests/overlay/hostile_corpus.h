// The hostile corpus (threats L-01, L-02, L-03): names x kinds x what was there before, parents that are links, hard
// links, whiteouts. A case is refused, or leaves exactly the tree that it names; what lies outside never changes.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "overlay/layer_path.h"
#include "tests/fixtures/canary.h"
#include "tests/overlay/image_builder.h"
#include "tests/overlay/temp_dir.h"

namespace fermata::overlay::testing {

using ::fermata::testing::Canary;
using ::fermata::testing::Tree;
using ::fermata::testing::TreeOf;

struct HostileCase {
  std::string name;
  std::vector<TarEntry> entries;
  bool refused = false;
  Tree tree = {};  // of the layer, when it is not refused
};

namespace corpus_internal {

struct Kind {
  const char* name;
  TarEntry entry;  // without its path
  const char* what;
};

inline std::vector<Kind> Kinds(const std::string& outside) {
  return {{"file", File("", "evil"), "file:evil"},
          {"directory", Directory("", 0777), "directory"},
          {"symlink", Symlink("", outside + "/outside"), "link:"},
          {"hardlink", HardLink("", "base"), "file:base"},
          {"fifo", Node("", AE_IFIFO), "fifo"}};
}

inline TarEntry At(TarEntry entry, const std::string& path) {
  entry.path = path;
  return entry;
}

inline std::string What(const Kind& kind) {
  const std::string what = kind.what;
  return what == "link:" ? what + kind.entry.link : what;
}

// `tree` with `what` at `path` and the directories above it.
inline Tree Put(Tree tree, const std::string& path, const std::string& what) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    tree[path.substr(0, slash)] = "directory";
  }
  if (what != "directory") std::erase_if(tree, [&](const auto& entry) { return entry.first.starts_with(path + "/"); });
  tree[path] = what;
  return tree;
}

// The name in the tar, and where it has to land; empty: refused.
inline std::vector<std::pair<std::string, std::string>> Names(const std::string& outside) {
  const std::string absolute = outside + "/outside";
  return {{"../outside", ""},
          {"..", ""},
          {"a/../../outside", ""},
          {"/../outside", ""},
          {"./../outside", ""},
          {"a/..", ""},
          {"a/b/../../../outside", ""},
          {"../layer/x", ""},
          {"...", "..."},
          {"..a", "..a"},
          {"a/...", "a/..."},
          {"/x", "x"},
          {"//x", "x"},
          {"./x", "x"},
          {".//.//x", "x"},
          {"a//b", "a/b"},
          {"a/./b", "a/b"},
          {absolute, absolute.substr(1)},
          {"x\ny", "x\ny"},
          {"-rf", "-rf"},
          {"*", "*"},
          {"a\\..\\b", "a\\..\\b"},
          {"%2e%2e/x", "%2e%2e/x"},
          {"\xc0\xae\xc0\xae/x", "\xc0\xae\xc0\xae/x"},
          {std::string(255, 'l'), std::string(255, 'l')},
          {std::string(256, 'l'), ""}};
}

inline void AddNames(const std::string& outside, std::vector<HostileCase>& cases) {
  const TarEntry base = File("base", "base");
  for (const auto& [name, landing] : Names(outside)) {
    for (const Kind& kind : Kinds(outside)) {
      const std::string label = kind.name + std::string(" named ") + name.substr(0, 40);
      const TarEntry entry = At(kind.entry, name);
      if (landing.empty()) {
        cases.push_back({label, {base, entry}, true});
        cases.push_back({label + " first", {entry, base}, true});
        continue;
      }
      const Tree only = Put({{"base", "file:base"}}, landing, What(kind));
      cases.push_back({label, {base, entry}, false, only});
      cases.push_back({label + " twice", {base, entry, entry}, false, only});
      // Each kind over each other one: the last counts, and a directory keeps what it has.
      for (const Kind& before : Kinds(outside)) {
        Tree both = Put(Put({{"base", "file:base"}}, landing, What(before)), landing, What(kind));
        cases.push_back({label + " over " + before.name, {base, At(before.entry, name), entry}, false, both});
      }
    }
  }
}

// The entry p/x where p is a link, and where that has to land.
inline void AddParents(const std::string& outside, std::vector<HostileCase>& cases) {
  const std::pair<std::string, std::string> targets[] = {{outside, ""},
                                                         {outside + "/sub", ""},
                                                         {"../canary", ""},
                                                         {"/proc/self/root", ""},
                                                         {"p", ""},
                                                         {"base", ""},
                                                         {"missing", ""},
                                                         {"/etc", ""},
                                                         {"..", "x"},
                                                         {"/", "x"},
                                                         {"../../../..", "x"},
                                                         {".", "x"},
                                                         {"real", "real/x"},
                                                         {"/real", "real/x"},
                                                         {"./real/../real", "real/x"},
                                                         {"../../real", "real/x"}};
  for (const auto& [target, landing] : targets) {
    for (const Kind& kind : Kinds(outside)) {
      const Tree before = {{"base", "file:base"}, {"real", "directory"}, {"p", "link:" + target}};
      HostileCase one{std::string(kind.name) + " below a link to " + target,
                      {File("base", "base"), Directory("real"), Symlink("p", target), At(kind.entry, "p/x")},
                      landing.empty()};
      if (!landing.empty()) one.tree = Put(before, landing, What(kind));
      cases.push_back(one);
      // A directory's metadata comes last: it must not go through a link that was set meanwhile.
      cases.push_back({std::string(kind.name) + " below what became a link to " + target,
                       {File("base", "base"), Directory("p", 0700), At(kind.entry, "p/x"), Symlink("p", target)},
                       false,
                       {{"base", "file:base"}, {"p", "link:" + target}}});
    }
  }
}

inline void AddHardLinks(const std::string& outside, std::vector<HostileCase>& cases) {
  const std::vector<TarEntry> before = {File("base", "base"),
                                        Directory("d"),
                                        Symlink("to-base", "base"),
                                        Symlink("out", outside),
                                        Symlink("out-file", outside + "/outside"),
                                        File(".wh.gone", ""),
                                        Node("fifo", AE_IFIFO)};
  const Tree tree = {{"base", "file:base"},
                     {"d", "directory"},
                     {"to-base", "link:base"},
                     {"out", "link:" + outside},
                     {"out-file", "link:" + outside + "/outside"},
                     {"gone", "whiteout"},
                     {"fifo", "fifo"}};
  for (const std::string& target : {outside + "/outside",
                                    std::string("../canary/outside"),
                                    std::string("out/outside"),
                                    std::string("out-file"),
                                    std::string("/etc/passwd"),
                                    std::string("etc/passwd"),
                                    std::string("to-base"),
                                    std::string("d"),
                                    std::string("gone"),
                                    std::string("fifo"),
                                    std::string("."),
                                    std::string(".."),
                                    std::string("/"),
                                    std::string("d/.."),
                                    std::string("missing"),
                                    std::string("base/x"),
                                    std::string("/proc/self/exe"),
                                    std::string("later"),
                                    std::string("d/../base"),
                                    std::string("out/../base")}) {
    HostileCase one{"hard link to " + target, before, true};
    one.entries.push_back(HardLink("h", target));
    one.entries.push_back(File("later", ""));
    cases.push_back(one);
  }
  for (const char* target : {"base", "/base", "./base", "//base"}) {
    HostileCase one{std::string("hard link to ") + target, before, false, Put(tree, "h", "file:base")};
    one.entries.push_back(HardLink("h", target));
    cases.push_back(one);
  }
}

inline void AddWhiteouts(const std::string& outside, std::vector<HostileCase>& cases) {
  for (const char* name : {".wh.",           ".wh..",           ".wh...",
                           "d/.wh.",         "d/.wh..",         "d/.wh...",
                           ".wh./",          ".wh./x",          ".wh.x/y",
                           "d/.wh.x/y",      ".wh..wh.x",       ".wh..wh.",
                           ".wh..wh.plnk",   ".wh..wh.aufs",    ".wh..wh..wh..opq",
                           ".wh..wh..opq/x", "out/.wh.outside", "out/.wh..wh..opq",
                           ".wh.../x",       "../.wh.canary",   "d/../../.wh.canary"}) {
    cases.push_back({std::string("whiteout ") + name, {Directory("d"), Symlink("out", outside), File(name, "")}, true});
  }
  const Tree tree = {{"d", "directory"}, {"d/own", "file:own"}};
  const std::pair<const char*, Tree> taken[] = {{".wh.x", Put(tree, "x", "whiteout")},
                                                {"d/.wh.x", Put(tree, "d/x", "whiteout")},
                                                {"/.wh.x", Put(tree, "x", "whiteout")},
                                                {"new/.wh.x", Put(tree, "new/x", "whiteout")},
                                                {"d/.wh.own", tree},
                                                {".wh.d", tree},
                                                {"d/.wh..wh..opq", tree},
                                                {".wh..wh..opq", tree},
                                                {".wh.wh.x", Put(tree, "wh.x", "whiteout")},
                                                {".wh.....", Put(tree, "....", "whiteout")},
                                                {"d/./.wh.x", Put(tree, "d/x", "whiteout")},
                                                {".whx", Put(tree, ".whx", "file:")}};
  for (const auto& [name, result] : taken) {
    cases.push_back(
        {std::string("whiteout ") + name, {Directory("d"), File("d/own", "own"), File(name, "")}, false, result});
  }
}

}  // namespace corpus_internal

// `outside` is where the canary lies: a directory "canary" beside that of the layer.
inline std::vector<HostileCase> HostileCorpus(const std::string& outside) {
  std::vector<HostileCase> cases;
  corpus_internal::AddNames(outside, cases);
  corpus_internal::AddParents(outside, cases);
  corpus_internal::AddHardLinks(outside, cases);
  corpus_internal::AddWhiteouts(outside, cases);
  return cases;
}

// Runs one case in the new directory `name` below `dir`, by `unpack(tar, layer_dir)`, and judges.
template <typename Unpack>
void RunHostileCase(const TempDir& dir, const std::string& name, const HostileCase& one, const Unpack& unpack) {
  SCOPED_TRACE(one.name);
  ASSERT_EQ(::mkdirat(dir.fd(), name.c_str(), 0700), 0);
  const UniqueFd layer = OpenAt(dir.fd(), name, O_RDONLY | O_DIRECTORY).value();
  const auto result = unpack(TarOf(one.entries), layer.get());
  if (one.refused) {
    EXPECT_FALSE(result);
    if (!result) {
      EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument) << result.error().message();
    }
  } else {
    EXPECT_TRUE(result) << result.error().message();
    EXPECT_EQ(TreeOf(dir.path() + "/" + name), one.tree);
  }
  EXPECT_TRUE(RemoveTree(dir.fd(), name));
}

}  // namespace fermata::overlay::testing
