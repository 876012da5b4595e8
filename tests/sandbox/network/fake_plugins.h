// Plugins of a test: shell scripts in a directory of root's. Each notes its calls, a line each, in calls.txt.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fixtures/temporary.h"

namespace fermata::testing {

constexpr const char* kGoodResult = R"(echo '{"cniVersion":"1.1.0","ips":[{"address":"10.9.0.2/24"}]}')";

class FakePlugins {
 public:
  FakePlugins() { std::filesystem::create_directories(bin()); }

  // `script` runs after the note; $CNI_COMMAND says what is asked, standard input is in $config.
  void Make(const std::string& type, const std::string& script) const {
    const std::string path = bin() + "/" + type;
    std::ofstream(path) << "#!/bin/sh\nconfig=$(cat)\necho \"$CNI_COMMAND " + type +
                               " $CNI_CONTAINERID $CNI_NETNS\" >>" + directory_.path() +
                               "/calls.txt\necho \"$config\" >" + directory_.path() + "/config.$CNI_COMMAND." + type +
                               "\n" + script + "\n";
    std::filesystem::permissions(path, std::filesystem::perms(0755));
  }
  // A plugin that does what it should.
  void MakeGood(const std::string& type) const { Make(type, std::string("[ $CNI_COMMAND != ADD ] || ") + kGoodResult); }
  [[nodiscard]] std::string bin() const { return directory_ / "bin"; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return directory_ / name; }
  [[nodiscard]] std::string Read(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] std::string Calls() const { return Read("calls.txt"); }

 private:
  TemporaryDirectory directory_;
};

}  // namespace fermata::testing
