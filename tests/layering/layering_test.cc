// Holds the tree's #include lines against the direction of its folders:
//
//   cri -> sandbox -> runtime -> cgroups, overlay -> runtime/base
//
// A file includes what stands right of its folder, at any distance, never what stands left; cgroups/ and overlay/ do
// not include each other; nothing includes cri/ but cri/ and tests/. CMake's targets say the same, but a header that
// needs no object file links anyway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fermata {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

constexpr size_t kMaxLines = 500;

struct Folder {
  std::string_view name;
  std::vector<std::string_view> may_include;  // besides itself
};

// Longest name first: runtime/base is at the bottom, though it lies in runtime/.
const std::vector<Folder>& Folders() {
  static const std::vector<Folder> folders = {
      {"sandbox/pause", {}},  // a program of its own that knows nothing of ours
      {"runtime/base", {}},
      {"cgroups", {"runtime/base"}},
      {"overlay", {"runtime/base"}},
      {"runtime", {"runtime/base", "cgroups", "overlay"}},
      {"sandbox", {"runtime/base", "cgroups", "overlay", "runtime"}},
      {"cri", {"runtime/base", "cgroups", "overlay", "runtime", "sandbox"}},
      {"tests", {"runtime/base", "cgroups", "overlay", "runtime", "sandbox", "cri"}},
  };
  return folders;
}

struct Foreign {
  std::string_view prefix;                  // of what is included
  std::vector<std::string_view> only_here;  // beginnings of the paths of files that may
  std::string_view because;
};

const std::vector<Foreign>& ForeignHeaders() {
  static const std::vector<Foreign> headers = {
      {"grpc", {"cri/", "tests/"}, "gRPC is known to cri/ alone"},
      {"google/protobuf", {"cri/", "tests/"}, "Protobuf is known to cri/ alone"},
      {"nlohmann/", {"runtime/base/json.h", "tests/"}, "JSON is read through runtime/base/json.h"},
      {"sys/mount.h",
       {"overlay/overlay_mount.cc", "overlay/unpacker/confine.cc", "sandbox/network/netns.cc",
        "sandbox/pods/memory_volume.cc", "runtime/launch/", "tests/"},
       "mounts are made in few places"},
      {"linux/mount.h",
       {"overlay/overlay_mount.cc", "overlay/unpacker/confine.cc", "sandbox/network/netns.cc", "runtime/launch/",
        "tests/"},
       "mounts are made in few places"},
      {"curl/",
       {"overlay/registry/http.cc", "overlay/registry/http_transfer.cc", "sandbox/probe/transfer_loop.cc"},
       "libcurl is behind registry/http.h and probe/transfer_loop.h"},
      {"toml++/", {"overlay/registry/hosts.cc", "cri/config.cc"}, "TOML is read in few places"},
      {"prometheus/", {"cri/metrics_page.cc", "tests/"}, "prometheus-cpp writes the page and nothing else"},
      {"spdlog/", {"runtime/base/", "tests/"}, "logging goes through runtime/base/log.h"},
      {"libmnl/", {"sandbox/network/netlink.cc"}, "libmnl is behind sandbox/network/netlink.h"},
      {"nftables/", {"sandbox/network/firewall.cc", "tests/"}, "libnftables is behind sandbox/network/firewall.h"},
      {"gtest/", {"tests/"}, "test code stays in tests/"},
      {"gmock/", {"tests/"}, "test code stays in tests/"},
  };
  return headers;
}

bool Begins(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

const Folder* FolderOf(std::string_view path) {
  for (const Folder& folder : Folders()) {
    if (Begins(path, folder.name) && path.size() > folder.name.size() && path[folder.name.size()] == '/')
      return &folder;
  }
  return nullptr;
}

// The rule that `file` breaks by including `header`; empty if none.
std::string Broken(std::string_view file, std::string_view header, bool quoted) {
  const Folder* from = FolderOf(file);
  const Folder* to = FolderOf(header);
  if (quoted) {
    if (to == nullptr) return "is not a path from the root of the tree";
    const bool allowed = from == to || std::find(from->may_include.begin(), from->may_include.end(), to->name) !=
                                           from->may_include.end();
    return allowed ? "" : std::string(from->name) + "/ must not know " + std::string(to->name) + "/";
  }
  if (to != nullptr && to->name != "sandbox/pause") return "is ours: in quotes";
  for (const Foreign& foreign : ForeignHeaders()) {
    if (!Begins(header, foreign.prefix)) continue;
    const bool allowed =
        std::any_of(foreign.only_here.begin(), foreign.only_here.end(), [&](auto here) { return Begins(file, here); });
    if (!allowed) return std::string(foreign.because);
  }
  return {};
}

struct Source {
  std::string path;  // from the root of the tree
  std::vector<std::string> lines;
};

std::vector<Source> AllSources() {
  std::vector<Source> sources;
  const fs::path root = FERMATA_SOURCE_DIR;
  for (const char* top : {"runtime", "cgroups", "overlay", "sandbox", "cri", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cc" && extension != ".h") continue;
      Source source{fs::relative(entry.path(), root), {}};
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) source.lines.push_back(line);
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

struct Include {
  std::string header;
  bool quoted = false;
};

// What a line includes; an empty header if nothing.
Include IncludeOf(const std::string& line) {
  const size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return {};
  const size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string::npos || line.compare(word, 7, "include") != 0) return {};
  const size_t open = line.find_first_of("\"<", word);
  if (open == std::string::npos) return {};
  const size_t close = line.find(line[open] == '"' ? '"' : '>', open + 1);
  return {line.substr(open + 1, close - open - 1), line[open] == '"'};
}

TEST(Layering, EveryIncludePointsDownwards) {
  std::vector<std::string> broken;
  size_t includes = 0;
  for (const Source& source : AllSources()) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const Include include = IncludeOf(source.lines[i]);
      if (include.header.empty()) continue;
      ++includes;
      const std::string why = Broken(source.path, include.header, include.quoted);
      if (!why.empty())
        broken.push_back(source.path + ":" + std::to_string(i + 1) + ": " + include.header + ": " + why);
    }
  }
  EXPECT_GT(includes, 100U);  // or the tree was not found
  EXPECT_THAT(broken, IsEmpty());
}

TEST(Layering, NoFileIncludesItselfInACircle) {
  std::map<std::string, std::vector<std::string>> graph;
  for (const Source& source : AllSources()) {
    for (const std::string& line : source.lines) {
      if (const Include include = IncludeOf(line); include.quoted) graph[source.path].push_back(include.header);
    }
  }
  // Takes away what includes nothing that is left, until nothing changes: what remains is on a circle or above one.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = graph.begin(); it != graph.end();) {
      auto& headers = it->second;
      std::erase_if(headers, [&](const std::string& header) { return graph.count(header) == 0; });
      changed |= headers.empty();
      it = headers.empty() ? graph.erase(it) : std::next(it);
    }
  }
  std::vector<std::string> remaining;
  for (const auto& [path, headers] : graph) remaining.push_back(path);
  EXPECT_THAT(remaining, IsEmpty());
}

TEST(Layering, ALongFileSaysWhy) {
  std::vector<std::string> too_long;
  for (const Source& source : AllSources()) {
    const bool reasoned = std::any_of(source.lines.begin(), source.lines.end(), [](const std::string& line) {
      return line.find("// Length:") != std::string::npos;
    });
    if (source.lines.size() > kMaxLines && !reasoned)
      too_long.push_back(source.path + ": " + std::to_string(source.lines.size()) + " lines");
  }
  EXPECT_THAT(too_long, IsEmpty()) << "split them, or say why not in a comment \"// Length: ...\"";
}

TEST(Layering, EveryFolderOfSourcesHasAReadme) {
  std::set<std::string> without;
  for (const Source& source : AllSources()) {
    const fs::path folder = fs::path(source.path).parent_path();
    if (!fs::exists(fs::path(FERMATA_SOURCE_DIR) / folder / "README.md")) without.insert(folder);
  }
  EXPECT_THAT(without, IsEmpty());
}

TEST(Layering, EveryHeaderIsReadOnce) {
  std::vector<std::string> unguarded;
  for (const Source& source : AllSources()) {
    if (fs::path(source.path).extension() == ".h" &&
        std::find(source.lines.begin(), source.lines.end(), "#pragma once") == source.lines.end()) {
      unguarded.push_back(source.path);
    }
  }
  EXPECT_THAT(unguarded, IsEmpty());
}

// The rules themselves.
TEST(Layering, KnowsUpFromDown) {
  EXPECT_EQ(Broken("cri/a.cc", "sandbox/b.h", true), "");
  EXPECT_EQ(Broken("cri/a.cc", "runtime/base/b.h", true), "");
  EXPECT_EQ(Broken("runtime/spec/a.cc", "cgroups/b.h", true), "");
  EXPECT_NE(Broken("sandbox/a.cc", "cri/b.h", true), "");
  EXPECT_NE(Broken("cgroups/a.cc", "overlay/b.h", true), "");
  EXPECT_NE(Broken("overlay/a.cc", "runtime/launch/b.h", true), "");
  EXPECT_NE(Broken("runtime/base/a.cc", "runtime/spec/b.h", true), "");
  EXPECT_NE(Broken("sandbox/pause/pause.cc", "runtime/base/b.h", true), "");
  EXPECT_NE(Broken("cri/a.cc", "tests/b.h", true), "");
  EXPECT_NE(Broken("cri/a.cc", "b.h", true), "");
  EXPECT_NE(Broken("cri/a.cc", "sandbox/b.h", false), "");
}

TEST(Layering, KnowsWhereForeignHeadersBelong) {
  EXPECT_EQ(Broken("cri/a.cc", "grpcpp/grpcpp.h", false), "");
  EXPECT_NE(Broken("sandbox/a.cc", "grpcpp/grpcpp.h", false), "");
  EXPECT_NE(Broken("sandbox/a.cc", "google/protobuf/message.h", false), "");
  EXPECT_EQ(Broken("runtime/base/json.h", "nlohmann/json.hpp", false), "");
  EXPECT_NE(Broken("overlay/a.cc", "nlohmann/json.hpp", false), "");
  EXPECT_EQ(Broken("runtime/launch/mounts.cc", "sys/mount.h", false), "");
  EXPECT_NE(Broken("sandbox/a.cc", "linux/mount.h", false), "");
  EXPECT_NE(Broken("sandbox/a.cc", "gtest/gtest.h", false), "");
}

TEST(Layering, ReadsIncludeLines) {
  EXPECT_EQ(IncludeOf("#include <a/b.h>  // why").header, "a/b.h");
  EXPECT_EQ(IncludeOf("#  include \"c.h\"").header, "c.h");
  EXPECT_TRUE(IncludeOf("#include \"c.h\"").quoted);
  EXPECT_EQ(IncludeOf("// #include \"c.h\"").header, "");
  EXPECT_EQ(IncludeOf("#define A").header, "");
}

}  // namespace
}  // namespace fermata
