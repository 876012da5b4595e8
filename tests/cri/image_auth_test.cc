// The credentials of PullImage: five forms, and for whom they are.
#include "cri/image_auth.h"

#include <gmock/gmock.h>

#include "overlay/registry/base64.h"
#include "tests/fixtures/temporary.h"

namespace fermata::cri {
namespace {

using ::runtime::v1::AuthConfig;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kImage = "reg.example:5000/team/app:1";

TEST(ImageAuth, TakesEveryForm) {
  AuthConfig auth;
  EXPECT_FALSE(CredentialsOf(auth, kImage).value()) << "none at all";
  auth.set_username("user");
  auth.set_password("pass:word");
  auto found = CredentialsOf(auth, kImage).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->username, "user");
  EXPECT_EQ(found->password, "pass:word");
  auth.Clear();
  auth.set_auth(overlay::EncodeBase64(std::string("user:pass:word\0\0", 16)));
  found = CredentialsOf(auth, kImage).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->username, "user");
  EXPECT_EQ(found->password, "pass:word") << "without the zero bytes behind";
  auth.Clear();
  auth.set_identity_token("refresh");
  EXPECT_EQ(CredentialsOf(auth, kImage).value()->identity_token, "refresh");
  auth.Clear();
  auth.set_registry_token("bearer");
  EXPECT_EQ(CredentialsOf(auth, kImage).value()->registry_token, "bearer");
}

TEST(ImageAuth, AreForTheServerThatTheyName) {
  AuthConfig auth;
  auth.set_username("user");
  const std::vector<std::tuple<const char*, const char*, bool>> rows = {
      {"reg.example:5000", kImage, true},
      {"https://reg.example:5000/v2/", kImage, true},
      {"reg.example", kImage, false},
      {"other.example:5000", kImage, false},
      {"https://index.docker.io/v1/", "busybox", true},
      {"docker.io", "busybox", true},
      {"docker.io", kImage, false},
  };
  for (const auto& [server, image, fits] : rows) {
    auth.set_server_address(server);
    EXPECT_EQ(CredentialsOf(auth, image).value().has_value(), fits) << server << " " << image;
  }
}

TEST(ImageAuth, BadInputIsRefusedAndNotQuoted) {
  AuthConfig auth;
  for (const std::string& text : {std::string("secret!"), overlay::EncodeBase64("secretwithoutcolon")}) {
    auth.set_auth(text);
    const auto found = CredentialsOf(auth, kImage);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(found.error().message(), Not(HasSubstr("secret")));
  }
  auth.Clear();
  EXPECT_FALSE(CredentialsOf(auth, "UPPER")) << "a name that is none";
}

}  // namespace
}  // namespace fermata::cri
