#include "overlay/registry/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fixtures/temporary.h"

namespace fermata::overlay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

Result<std::vector<HostEndpoint>> Parse(const std::string& text, const std::string& registry = "reg.example") {
  return ParseHosts(text, "/etc/certs.d/reg.example/hosts.toml", registry);
}

std::vector<std::string> Places(const Result<std::vector<HostEndpoint>>& hosts) {
  std::vector<std::string> places;
  if (!hosts) return {hosts.error().message()};
  for (const HostEndpoint& host : *hosts) places.push_back(host.base.ToString() + (host.origin ? " origin" : ""));
  return places;
}

TEST(Hosts, MirrorsComeInTheOrderOfTheFileThenTheServer) {
  EXPECT_THAT(Places(Parse("")), ElementsAre("https://reg.example/v2 origin"));
  EXPECT_THAT(Places(Parse("", "docker.io")), ElementsAre("https://registry-1.docker.io/v2 origin"));
  EXPECT_THAT(Places(Parse("server = \"https://docker.io\"", "docker.io")),
              ElementsAre("https://registry-1.docker.io/v2 origin"));
  EXPECT_THAT(Places(Parse(R"(
server = "https://real.example"
[host."https://z.example"]
[host."http://a.example:5000/path"]
[host."m.example/v2"]
[host."https://n.example/raw"]
  override_path = true
)")),
              ElementsAre("https://z.example/v2", "http://a.example:5000/path/v2", "https://m.example/v2",
                          "https://n.example/raw", "https://real.example/v2 origin"));
}

TEST(Hosts, PlainHttpIsOnlyWhereItIsWritten) {
  EXPECT_THAT(Places(Parse("", "localhost:5000")), ElementsAre("https://localhost:5000/v2 origin"));
  EXPECT_THAT(Places(Parse("[host.\"localhost:5000\"]", "localhost:5000")),
              ElementsAre("https://localhost:5000/v2 origin"));
  EXPECT_THAT(Places(Parse("[host.\"http://localhost:5000\"]", "localhost:5000")),
              ElementsAre("http://localhost:5000/v2 origin"));
}

TEST(Hosts, ReadsAllSettings) {
  const auto hosts = Parse(R"(
ca = "/abs/ca.pem"
[host."https://m.example"]
  capabilities = ["pull"]
  skip_verify = true
  ca = ["one.pem", "/two.pem"]
  client = [["client.cert", "client.key"]]
  auth = { username = "u", password = "p" }
  token_hosts = ["auth.example"]
  [host."https://m.example".header]
    x-one = "1"
    x-two = ["2", "3"]
[host."https://n.example"]
  client = "both.pem"
  auth_file = "auth.json"
)");
  ASSERT_OK(hosts);
  ASSERT_THAT(*hosts, SizeIs(3));
  const HostEndpoint &mirror = (*hosts)[0], &other = (*hosts)[1], &server = (*hosts)[2];
  EXPECT_TRUE(mirror.pull && !mirror.resolve && !mirror.push && mirror.skip_verify);
  EXPECT_THAT(mirror.ca_files, ElementsAre("/etc/certs.d/reg.example/one.pem", "/two.pem"));
  EXPECT_EQ(mirror.client_cert, "/etc/certs.d/reg.example/client.cert");
  EXPECT_EQ(mirror.client_key, "/etc/certs.d/reg.example/client.key");
  EXPECT_EQ(mirror.credentials->username, "u");
  EXPECT_THAT(mirror.token_hosts, ElementsAre("auth.example"));
  EXPECT_THAT(mirror.headers, ElementsAre(std::pair<std::string, std::string>("x-one", "1"),
                                          std::pair<std::string, std::string>("x-two", "2"),
                                          std::pair<std::string, std::string>("x-two", "3")));
  EXPECT_EQ(other.client_cert, "/etc/certs.d/reg.example/both.pem");
  EXPECT_EQ(other.auth_file, "/etc/certs.d/reg.example/auth.json");
  EXPECT_TRUE(other.pull && other.resolve && other.push && !other.skip_verify);
  EXPECT_THAT(server.ca_files, ElementsAre("/abs/ca.pem"));
}

TEST(Hosts, ErrorsNameFileAndLine) {
  const std::pair<const char*, const char*> rows[] = {
      {"server = 5", ":1: server is not a plain text"},
      {"\nservre = \"x\"", ":2: unknown key \"servre\""},
      {"[host.\"https://m\"]\n\nskip_verfy = true", ":3: unknown key \"skip_verfy\""},
      {"[host.\"https://m\"]\ncapabilities = [\"fly\"]", ":2: unknown capability \"fly\""},
      {"[host.\"https://m\"]\nskip_verify = \"yes\"", ":2: skip_verify is neither true nor false"},
      {"[host.\"ftp://m\"]", ":1: parse URL: neither https nor http"},
      {"[host.\"https://u:pw@m\"]", ":1: parse URL: user information in it"},
      {"[host.\"https://m\"]\nauth = { user = \"u\" }", ":2: unknown key \"user\" in auth"},
      {"[host.\"https://m\"]\nauth = { password = \"secret\" }", ":2: auth without a user name or token"},
      {"[host.\"https://m\"]\nclient = [\"a\", \"b\"]", ":2: client has to be one certificate"},
      {"[host.\"https://m\"]\nheader = { \"a b\" = \"c\" }", ":2: not the name of a header: \"a b\""},
      {"[host.\"https://m\"]\nheader = { a = \"b\\r\\nX: y\" }", ":2: header is not a plain text"},
      {"host = 1", ":1: host is not a table"},
      {"[host]\nm = 1", ":2: a host is not a table"},
      {"a = = secret", ":1: not TOML"},
  };
  for (const auto& [text, reason] : rows) {
    const auto hosts = Parse(text);
    ASSERT_FALSE(hosts) << text;
    EXPECT_EQ(hosts.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(hosts.error().message(), HasSubstr("/etc/certs.d/reg.example/hosts.toml" + std::string(reason)));
    EXPECT_THAT(hosts.error().message(), Not(HasSubstr("secret")));
  }
}

TEST(Hosts, TheMostParticularDirectoryCounts) {
  const fermata::testing::TemporaryDirectory directory;
  const auto write = [&](const std::string& name, const std::string& host) {
    const auto made = MakeDirectories(AT_FDCWD, directory / name);
    ASSERT_OK(made);
    ASSERT_OK(WriteFileAtomic(made->get(), "hosts.toml", "server = \"https://" + host + "\""));
  };
  const auto find = [&](const std::string& registry) { return Places(FindHosts(directory.path(), registry)); };
  EXPECT_THAT(find("reg.example:5000"), ElementsAre("https://reg.example:5000/v2 origin"));
  write("_default", "default.example");
  EXPECT_THAT(find("reg.example:5000"), ElementsAre("https://default.example/v2 origin"));
  write("reg.example:5000", "colon.example");
  EXPECT_THAT(find("reg.example:5000"), ElementsAre("https://colon.example/v2 origin"));
  write("reg.example_5000_", "underscore.example");
  EXPECT_THAT(find("reg.example:5000"), ElementsAre("https://underscore.example/v2 origin"));
  EXPECT_THAT(find("../etc"), ElementsAre(HasSubstr("parse URL")));
}

}  // namespace
}  // namespace fermata::overlay
