// The program `fermata` against the daemon of the suite.
#pragma once

#include <gmock/gmock.h>

#include <sstream>

#include "runtime/base/json.h"
#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {

class CliTest : public DaemonTest {
 protected:
  void TearDown() override {
    if (IsSkipped()) return;
    for (const Json& pod : Pods()) {
      const std::string id = pod.at("id");
      EXPECT_EQ(Fermata({"stop", "-t", "0", id}).code, 0);
      EXPECT_EQ(Fermata({"rm", "-f", id}).code, 0);
    }
    DaemonTest::TearDown();
  }

  Program Begin(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), BuiltProgram("fermata"));
    return {directory_.path(),
            std::move(arguments),
            {.input = input, .environment = {"FERMATA_SOCKET=" + daemon().socket()}}};
  }
  ProgramResult Fermata(std::vector<std::string> arguments, const std::string& input = "") {
    return Begin(std::move(arguments), input).Wait();
  }
  // Its output, when it has to succeed.
  std::string Output(std::vector<std::string> arguments, const std::string& input = "") {
    const ProgramResult result = Fermata(std::move(arguments), input);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }
  Json Pods() {
    const Json pods = Json::parse(Output({"--json", "pods"}), nullptr, false);
    EXPECT_TRUE(pods.is_object() && pods.contains("pods"));
    return pods.is_object() ? pods.value("pods", Json::array()) : Json::array();
  }

  // A manifest: what comes before the containers, and their YAML.
  static std::string Manifest(const std::string& name, const std::string& spec,
                              const std::vector<std::string>& containers) {
    std::string text = "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n";
    if (spec.find("terminationGracePeriodSeconds") == std::string::npos)
      text += "  terminationGracePeriodSeconds: 20\n";
    if (!spec.empty()) text += "  " + spec + "\n";
    text += "  containers:\n";
    for (const std::string& container : containers) text += container;
    return text;
  }
  // A container that runs a script, one line of `more` added to it.
  static std::string Container(const std::string& name, const std::string& script, const std::string& more = "") {
    return "  - name: " + name + "\n    image: " + kBusyboxImage + "\n    command: [sh, -c, " + Json(script).dump() +
           "]\n" + (more.empty() ? "" : "    " + more + "\n");
  }
  // Writes it to a file; gives its path.
  std::string Yaml(const std::string& text) {
    std::string path = directory_ / "pod.yaml";
    WriteText(path, text);
    return path;
  }

  TemporaryDirectory directory_;
};

}  // namespace fermata::testing
