#include "overlay/registry/auth_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "overlay/registry/credential_helper.h"
#include "tests/fixtures/temporary.h"

namespace fermata::overlay {
namespace {

using fermata::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

// "user:password" and so on of what would be used; "helper NAME"; empty for nobody.
std::string Chosen(const std::string& text, const std::string& host, const std::string& repository) {
  const auto file = ParseAuthFile(text, "auth.json");
  if (!file) return file.error().message();
  const AuthChoice choice = ChooseAuth(*file, {host, repository});
  if (!choice.helper.empty()) return "helper " + choice.helper;
  if (!choice.credentials) return "";
  const Credentials& found = *choice.credentials;
  if (!found.identity_token.empty()) return "identity " + found.identity_token;
  if (!found.registry_token.empty()) return "token " + found.registry_token;
  return found.username + ":" + found.password;
}

TEST(AuthFile, KeysAreFoundInAllTheirForms) {
  struct Row {
    const char *key, *host, *repository;
    bool found;
  };
  for (const Row& row :
       {Row{"https://index.docker.io/v1/", "docker.io", "library/busybox", true},
        Row{"index.docker.io", "docker.io", "a", true}, Row{"docker.io", "docker.io", "a", true},
        Row{"https://reg.example", "reg.example", "a", true}, Row{"http://reg.example/v2/", "reg.example", "a", true},
        Row{"REG.example:5000", "reg.example:5000", "a", true},
        Row{"reg.example/team", "reg.example", "team/app", true},
        Row{"reg.example/team/app", "reg.example", "team/app", true},
        Row{"reg.example/team", "reg.example", "teams/app", false},
        Row{"reg.example/team", "reg.example", "app", false}, Row{"reg.example", "reg.example:5000", "a", false},
        Row{"reg.example", "evil.reg.example", "a", false}, Row{"reg.example", "reg.example.evil", "a", false}}) {
    const std::string text = R"({"auths":{")" + std::string(row.key) + R"(":{"auth":"dXNlcjpwdzp4"}}})";
    EXPECT_EQ(Chosen(text, row.host, row.repository), row.found ? "user:pw:x" : "") << row.key << " " << row.host;
  }
}

TEST(AuthFile, TheLongestKeyAndTheNearestHelperWin) {
  const char* text = R"({
    "auths": {"reg.example": {"username": "host", "password": "1"},
              "reg.example/team": {"username": "team", "password": "2"},
              "identity.example": {"auth": "PHRva2VuPjo=", "identitytoken": "refresh"},
              "token.example": {"registrytoken": "bearer"},
              "empty.example": {}},
    "credHelpers": {"helped.example": "one"},
    "credsStore": "all"})";
  EXPECT_EQ(Chosen(text, "reg.example", "app"), "host:1");
  EXPECT_EQ(Chosen(text, "reg.example", "team/app"), "team:2");
  EXPECT_EQ(Chosen(text, "identity.example", "app"), "identity refresh");
  EXPECT_EQ(Chosen(text, "token.example", "app"), "token bearer");
  EXPECT_EQ(Chosen(text, "helped.example", "app"), "helper one");
  EXPECT_EQ(Chosen(text, "empty.example", "app"), "helper all");
  EXPECT_EQ(Chosen(text, "other.example", ""), "helper all");
}

TEST(AuthFile, GarbageIsRefusedAndNotQuoted) {
  for (const char* bad :
       {"", "secret", "[]", R"({"auths":"secret"})", R"({"auths":{"a":"secret"}})",
        R"({"auths":{"a":{"auth":"secret"}}})", R"({"auths":{"a":{"auth":"c2VjcmV0"}}})",
        R"({"auths":{"a":{"username":{"secret":1}}}})", R"({"credHelpers":{"a":5}})", R"({"credsStore":["secret"]})"}) {
    const auto file = ParseAuthFile(bad, "auth.json");
    ASSERT_FALSE(file) << bad;
    EXPECT_EQ(file.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(file.error().message(), HasSubstr("auth.json: "));
    EXPECT_THAT(file.error().message(), Not(HasSubstr("secret")));
  }
}

// Programs docker-credential-NAME in a directory of their own, which is PATH meanwhile.
class CredentialHelper : public ::testing::Test {
 protected:
  CredentialHelper() {
    old_path_ = std::getenv("PATH");
    ::setenv("PATH", (directory_.path() + ":" + old_path_).c_str(), 1);
  }
  ~CredentialHelper() override { ::setenv("PATH", old_path_.c_str(), 1); }

  void Program(const std::string& name, const std::string& script) {
    const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(directory);
    ASSERT_OK(WriteFileAtomic(directory->get(), "docker-credential-" + name, "#!/bin/sh\n" + script, 0755));
  }

  TemporaryDirectory directory_;
  std::string old_path_;
};

TEST_F(CredentialHelper, IsToldTheServerAndGivesCredentials) {
  Program("good", R"(read -r server || true; printf '{"Username":"%s","Secret":"%s"}' "$1" "$server")");
  const auto found = RunCredentialHelper("good", "reg.example", 10s, {});
  ASSERT_OK(found);
  EXPECT_EQ((*found)->username, "get");
  EXPECT_EQ((*found)->password, "reg.example");
  Program("token", R"(echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh"}')");
  EXPECT_EQ(RunCredentialHelper("token", "reg.example", 10s, {}).value()->identity_token, "refresh");
  EXPECT_EQ(HelperKey("docker.io"), "https://index.docker.io/v1/");
}

TEST_F(CredentialHelper, MayKnowNone) {
  Program("none", "echo 'credentials not found in native keychain'; exit 1");
  const auto found = RunCredentialHelper("none", "reg.example", 10s, {});
  ASSERT_OK(found);
  EXPECT_FALSE(*found);
}

TEST_F(CredentialHelper, FailuresAreToldWithoutItsWords) {
  Program("bad", "echo secret; exit 3");
  Program("garbage", "echo secret");
  Program("endless", "exec yes secret");
  Program("hangs", "exec sleep 1000");
  const std::pair<const char*, const char*> rows[] = {
      {"bad", "run docker-credential-bad: ended with status 3"},
      {"garbage", "run docker-credential-garbage: answer: not a JSON object"},
      {"endless", "run docker-credential-endless: says more than 64 KiB"},
      {"missing", "run docker-credential-missing: not found in PATH"},
      {"hangs", "run docker-credential-hangs: no answer in time, so it was killed"},
      {"../sh", "credential helper: the name"},
      {"", "credential helper: the name"},
      {"UPPER", "credential helper: the name"},
      {"a b", "credential helper: the name"},
  };
  for (const auto& [name, text] : rows) {
    const auto deadline = std::string_view(name) == "hangs" ? 100ms : 10000ms;
    const auto found = RunCredentialHelper(name, "reg.example", deadline, {});
    ASSERT_FALSE(found) << name;
    EXPECT_THAT(found.error().message(), HasSubstr(text));
    EXPECT_THAT(found.error().message(), Not(HasSubstr("secret")));
  }
}

TEST_F(CredentialHelper, TheFirstFileThatKnowsTheHostCounts) {
  Program("good", R"(echo '{"Username":"helped","Secret":"x"}')");
  const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_OK(directory);
  ASSERT_OK(WriteFileAtomic(directory->get(), "1.json", R"({"auths":{"one.example":{"username":"first"}}})"));
  ASSERT_OK(WriteFileAtomic(directory->get(), "2.json",
                            R"({"auths":{"one.example":{"username":"second"}},"credHelpers":{"two.example":"good"}})"));
  const std::vector<std::string> files = {directory_ / "0.json", directory_ / "1.json", directory_ / "2.json"};
  EXPECT_EQ(FindCredentials(files, {"one.example", "a"}, 10s, {}).value()->username, "first");
  EXPECT_EQ(FindCredentials(files, {"two.example", "a"}, 10s, {}).value()->username, "helped");
  EXPECT_FALSE(FindCredentials(files, {"three.example", "a"}, 10s, {}).value());
}

}  // namespace
}  // namespace fermata::overlay
