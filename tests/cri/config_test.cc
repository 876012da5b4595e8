// The daemon's configuration file: what it takes, and how it says what it does not.
#include "cri/config.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "cri/daemon_flags.h"
#include "tests/fixtures/temporary.h"

namespace fermata::cri {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Config : public ::testing::Test {
 protected:
  Result<DaemonConfig> Read(const std::string& text) {
    const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    EXPECT_OK(WriteFileAtomic(directory->get(), "config.toml", text));
    DaemonConfig config;
    RETURN_IF_ERROR(ReadConfigFile(directory_ / "config.toml", config, sources_));
    return config;
  }
  fermata::testing::TemporaryDirectory directory_;
  ConfigSources sources_;
};

TEST_F(Config, ReadsImages) {
  const auto config = Read(R"([images]
hosts_dir = "/certs"
auth_files = ["/one", "/two"]
signature_policy = "/policy.json"
pinned = []
no_progress_seconds = 5
)");
  ASSERT_OK(config);
  EXPECT_EQ(config->registry_hosts_dir, "/certs");
  EXPECT_THAT(config->registry_auth_files, ElementsAre("/one", "/two"));
  EXPECT_THAT(config->signature_policies, ElementsAre("/policy.json")) << "one is a list of one";
  EXPECT_THAT(config->pinned_images, IsEmpty());
  EXPECT_EQ(config->no_progress_seconds, 5);
}

TEST_F(Config, NamesFileLineAndKeyOfWhatItDoesNotTake) {
  const std::vector<std::pair<const char*, const char*>> rows = {
      {"[images]\npinned = 7\n", "config.toml:2: must be a string or a list of strings"},
      {"[images]\npinned = [\"a\", 7]\n", "config.toml:2: must be a list of strings"},
      {"[images]\nno_progress_seconds = 0\n", "config.toml:2: must be a number from 1 to 3600"},
      {"\n[images]\nhost_dir = \"x\"\n", "config.toml:3: unknown key images.host_dir"},
      {"[network]\ncri = \"maybe\"\n", "must be \"cni\" or \"builtin\""},
      {"[network]\nmtu = 100\n", "must be a number from 1280 to 65535"},
      {"[streaming]\nport = 70000\n", "must be a number from 0 to 65535"},
      {"data_dir = 1\n", "config.toml:1: must be a string"},
      {"[images\n", "config.toml:1: "},
  };
  for (const auto& [text, reason] : rows) {
    const auto config = Read(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_THAT(config.error().message(), HasSubstr(reason)) << text;
  }
}

TEST_F(Config, TellsAllErrorsByLine) {
  const auto config = Read("data_dir = 1\n[network]\nmtu = 1\nmut = 1\n[log]\nformat = \"xml\"\n");
  ASSERT_FALSE(config);
  const std::string& text = config.error().message();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
  size_t last = 0;
  for (const char* line :
       {"config.toml:1: must be a string", "config.toml:3: must be a number", "config.toml:4: unknown key network.mut",
        "config.toml:6: must be \"text\", \"json\" or \"journald\""}) {
    const size_t at = text.find(line);
    ASSERT_NE(at, std::string::npos) << line << " in " << text;
    EXPECT_GE(at, last);
    last = at;
  }
}

TEST_F(Config, ShowsEachValueAndWhereItComesFrom) {
  auto config = Read("data_dir = \"/d\"\n[cgroup]\nmissing_controllers = \"warn\"\n[images]\npinned = [\"a\\\"b\"]\n");
  ASSERT_OK(config);
  std::string again;
  for (const ConfigValue& one : ShowConfig(*config, sources_)) {
    if (one.name == "data_dir") {
      EXPECT_EQ(one.source, (directory_ / "config.toml") + ":1");
    }
    if (one.name == "run_dir") {
      EXPECT_EQ(one.source, "default");
    }
    if (one.name != "network.mtu") again += one.name + " = " + one.value + "\n";  // 0 is no value for a file
  }
  const auto same = Read(again);  // what is shown is TOML
  ASSERT_OK(same);
  EXPECT_EQ(same->data_dir, "/d");
  EXPECT_EQ(same->pinned_images, config->pinned_images);
  EXPECT_EQ(same->missing_controllers, cgroups::MissingControllers::kWarn);
}

TEST(CheckConfig, TellsWhatTheDaemonWouldRefuse) {
  EXPECT_OK(CheckConfig(DaemonConfig{}));
  DaemonConfig config;
  config.data_dir = "here";
  config.socket = "/" + std::string(200, 's');
  config.streaming.address = "localhost";
  config.streaming.tls_key = "/key";
  config.streaming.client_ca = "/ca";
  config.metrics.address = "0.0.0.0";
  const Result<> checked = CheckConfig(config);
  ASSERT_FALSE(checked);
  for (const char* part : {"here is not an absolute path", "is longer than 103 bytes", "localhost is no IP address",
                           "go together only", "only with TLS", "0.0.0.0 is no address of loopback"}) {
    EXPECT_THAT(checked.error().message(), HasSubstr(part));
  }
  config = {};
  config.metrics.address = "::1";
  EXPECT_OK(CheckConfig(config));
}

std::string Source(const std::string& name) {
  auto text = ReadFileAt(AT_FDCWD, std::string(FERMATA_SOURCE_DIR) + "/" + name);
  return text ? *text : text.error().message();
}

// The lines that the packaged file has as comments, and the tables.
TEST_F(Config, ThePackagedFileHasAllKeysWithTheirDefaults) {
  const std::string packaged = Source("packaging/config.toml");
  const auto as_it_is = Read(packaged);
  ASSERT_OK(as_it_is);
  std::string text;
  std::istringstream lines(packaged);
  for (std::string line; std::getline(lines, line);) {
    const bool key = line.starts_with("#") && line.find(" = ") != std::string::npos;
    if (key || line.starts_with("[")) text += (key ? line.substr(1) : line) + "\n";
  }
  const auto config = Read(text);
  ASSERT_OK(config);
  const DaemonConfig defaults;
  EXPECT_EQ(config->SocketPath(), defaults.SocketPath());
  EXPECT_EQ(config->cni_bin_dirs, defaults.cni_bin_dirs);
  EXPECT_EQ(config->signature_policies, defaults.signature_policies);
  EXPECT_EQ(config->registry_auth_files, defaults.registry_auth_files);
  EXPECT_EQ(config->builtin_for_pods, defaults.builtin_for_pods);
  EXPECT_EQ(config->streaming.idle_timeout_seconds, defaults.streaming.idle_timeout_seconds);
  EXPECT_EQ(config->streaming.address, defaults.streaming.address);
  for (const std::string_view name : ConfigKeys()) {
    const std::string key(name.substr(name.find('.') + 1));  // npos + 1 is 0
    EXPECT_TRUE(packaged.find("#" + key + " = ") != std::string::npos || name == "network.mtu") << name;
  }
}

TEST_F(Config, ThePackagedFileIsBuiltIn) { EXPECT_EQ(PackagedConfig(), Source("packaging/config.toml")); }

TEST_F(Config, TheReadmeExplainsEveryKey) {
  const std::string readme = Source("README.md");
  for (const std::string_view name : ConfigKeys()) {
    EXPECT_THAT(readme, HasSubstr("`" + std::string(name) + "`"));
  }
}

}  // namespace
}  // namespace fermata::cri
