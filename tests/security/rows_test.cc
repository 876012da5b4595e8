// P-02 of the threat table: every row has a test, or stands in rows.tsv with the reason why not.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fermata {
namespace {

namespace fs = std::filesystem;
const fs::path kTests = fs::path(FERMATA_SOURCE_DIR) / "tests";

struct Section {
  const char* letter;
  int rows;
};
constexpr Section kSections[] = {{"R", 16}, {"M", 17}, {"L", 13}, {"I", 15}, {"C", 20}, {"S", 9}, {"N", 7}};

std::set<std::string> WantedRows() {
  std::set<std::string> rows = {"P-02"};
  for (const Section& section : kSections) {
    for (int i = 1; i <= section.rows; ++i) {
      rows.insert(std::string(section.letter) + (i < 10 ? "-0" : "-") + std::to_string(i));
    }
  }
  return rows;
}

struct Row {
  std::vector<std::string> tests;
  std::string reason;
};

std::map<std::string, Row> ReadRows() {
  std::map<std::string, Row> rows;
  std::ifstream file(kTests / "security/rows.tsv");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream fields(line);
    std::string id, tests;
    Row row;
    std::getline(fields, id, '\t');
    std::getline(fields, tests, '\t');
    std::getline(fields, row.reason);
    std::istringstream names(tests);
    for (std::string name; names >> name;) {
      if (name != "-") row.tests.push_back(name);
    }
    EXPECT_TRUE(rows.emplace(id, row).second) << id << " stands twice";
  }
  return rows;
}

// "Suite.Name" of every test in the tree, and the names of those that are programs.
std::set<std::string> TestsInTree() {
  std::set<std::string> names;
  const std::regex gtest(R"(\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\))");
  const std::regex program(R"(add_test\(NAME (\w+))");
  for (const auto& entry : fs::recursive_directory_iterator(kTests)) {
    const fs::path& path = entry.path();
    const bool cmake = path.filename() == "CMakeLists.txt";
    if (!cmake && path.extension() != ".cc") continue;
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::regex& pattern = cmake ? program : gtest;
    for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
      names.insert(cmake ? (*match)[1].str() : (*match)[1].str() + "." + (*match)[2].str());
    }
  }
  return names;
}

TEST(SecurityRows, P02EveryRowHasATestOrAReason) {
  const auto rows = ReadRows();
  const auto wanted = WantedRows();
  for (const std::string& id : wanted) {
    ASSERT_TRUE(rows.contains(id)) << id << " is missing in rows.tsv";
    const Row& row = rows.at(id);
    EXPECT_TRUE(!row.tests.empty() || row.reason.size() > 10) << id << " has neither a test nor a reason";
  }
  for (const auto& [id, row] : rows) EXPECT_TRUE(wanted.contains(id)) << id << " is no row";
}

TEST(SecurityRows, P02EveryTestOfARowExists) {
  const auto tests = TestsInTree();
  for (const auto& [id, row] : ReadRows()) {
    for (const std::string& name : row.tests) EXPECT_TRUE(tests.contains(name)) << id << ": there is no test " << name;
  }
}

// A test that carries a row's name stands in that row.
TEST(SecurityRows, P02EveryTestNamedAfterARowIsListed) {
  const auto rows = ReadRows();
  const std::regex named(R"(\w+\.((?:[RMLICSPN][0-9]{2})+)[A-Z]\w*)");
  for (const std::string& name : TestsInTree()) {
    std::smatch match;
    if (!std::regex_match(name, match, named)) continue;
    for (size_t at = 0; at < match[1].str().size(); at += 3) {
      const std::string id = match[1].str().substr(at, 1) + "-" + match[1].str().substr(at + 1, 2);
      if (!rows.contains(id)) continue;  // P rows and others that the list does not hold
      const auto& tests = rows.at(id).tests;
      EXPECT_NE(std::find(tests.begin(), tests.end(), name), tests.end()) << name << " is not listed in " << id;
    }
  }
}

}  // namespace
}  // namespace fermata
