// The signature policy: which requirements a name has, and which signatures meet them.
#include "overlay/registry/policy.h"

#include <gmock/gmock.h>

#include "overlay/digest.h"
#include "overlay/registry/base64.h"
#include "tests/fixtures/temporary.h"
#include "tests/overlay/registry/signer.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::HasSubstr;
using Kind = Requirement::Kind;

Result<std::string> NoKey(const std::string& path) { return Error::Make(ErrorCode::kNotFound, path, ": not there"); }
Result<std::string> AnyKey(const std::string&) { return std::string("key"); }

Kind KindFor(const Policy& policy, const std::string& name) {
  return policy.For(ParseReference(name).value()).front().kind;
}

TEST(Policy, TheMostSpecificScopeCounts) {
  const auto policy = Policy::Parse(R"({"default":[{"type":"reject"}],"transports":{"docker":{
    "docker.io/library/busybox":[{"type":"insecureAcceptAnything"}],
    "docker.io/library/busybox:evil":[{"type":"reject"}],
    "registry.example:5000":[{"type":"insecureAcceptAnything"}],
    "registry.example:5000/team":[{"type":"reject"}],
    "registry.example:5000/team/app":[{"type":"insecureAcceptAnything"}],
    "*.wild.example":[{"type":"insecureAcceptAnything"}]}}})",
                                    "policy.json", NoKey);
  ASSERT_OK(policy);
  const std::vector<std::pair<const char*, Kind>> names = {
      {"busybox", Kind::kAccept},
      {"busybox:1", Kind::kAccept},
      {"busybox:evil", Kind::kReject},
      {"alpine", Kind::kReject},
      {"registry.example:5000/other/deep/app", Kind::kAccept},
      {"registry.example:5000/team/other", Kind::kReject},
      {"registry.example:5000/teamwork", Kind::kAccept},
      {"registry.example:5000/team/app:2", Kind::kAccept},
      {"registry.example/team/app:2", Kind::kReject},
      {"a.wild.example/x", Kind::kAccept},
      {"b.a.wild.example:443/x", Kind::kAccept},
      {"wild.example/x", Kind::kReject},
  };
  for (const auto& [name, kind] : names) EXPECT_EQ(KindFor(*policy, name), kind) << name;
}

TEST(Policy, AnEmptyScopeIsTheTransportsDefault) {
  const auto policy = Policy::Parse(
      R"({"default":[{"type":"reject"}],"transports":{"docker":{"":[{"type":"insecureAcceptAnything"}]},"dir":{}}})",
      "p", NoKey);
  ASSERT_OK(policy);
  EXPECT_EQ(KindFor(*policy, "busybox"), Kind::kAccept);
}

TEST(Policy, WithoutAFileAllIsAccepted) {
  const auto policy = Policy::Read({"/nonexistent/policy.json"});
  ASSERT_OK(policy);
  EXPECT_EQ(KindFor(*policy, "busybox"), Kind::kAccept);
}

TEST(Policy, WhatIsNoPolicyIsRefusedAndNamed) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "policy.json"},
      {"{}", "'default' is missing"},
      {R"({"default":[]})", "not an empty one"},
      {R"({"default":[{"type":"reject"}],"other":1})", "unknown key 'other'"},
      {R"({"default":[{"type":"reject","keyPath":"x"}]})", "unknown key 'keyPath'"},
      {R"({"default":[{"type":"signedBy","keyPath":"x"}]})", "'signedBy' is not supported"},
      {R"({"default":[{"type":"sigstoreSigned"}]})", "needs keyPath or keyData"},
      {R"({"default":[{"type":"sigstoreSigned","fulcio":{}}]})", "'fulcio' is not supported"},
      {R"({"default":[{"type":"sigstoreSigned","keyData":"%%%"}]})", "not base64"},
      {R"({"default":[{"type":"sigstoreSigned","keyPath":"x","signedIdentity":{"type":"matchAll"}}]})",
       "unknown type 'matchAll'"},
      {R"({"default":[{"type":"sigstoreSigned","keyPath":"x","signedIdentity":{"type":"exactReference"}}]})",
       "'dockerReference' has to be a text"},
      {R"({"default":[7]})", "has to be an object"},
      {R"({"default":[{"type":"reject"}],"transports":{"docker":[]}})", "'docker' has to be an object"},
  };
  for (const auto& [text, reason] : rows) {
    const auto policy = Policy::Parse(text, "policy.json", AnyKey);
    ASSERT_FALSE(policy) << text;
    EXPECT_EQ(policy.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_THAT(policy.error().message(), HasSubstr(reason)) << text;
  }
  const auto policy = Policy::Parse(R"({"default":[{"type":"sigstoreSigned","keyPath":"/x.pub"}]})", "p", NoKey);
  ASSERT_FALSE(policy);
  EXPECT_THAT(policy.error().message(), HasSubstr("/x.pub: not there"));
}

class Signatures : public ::testing::Test {
 protected:
  Requirement Require(IdentityMatch match) {
    Requirement requirement;
    requirement.kind = Kind::kSigstoreSigned;
    requirement.keys = {signer_.public_pem()};
    requirement.match = match;
    return requirement;
  }
  bool Fits(const Requirement& requirement, const std::string& name, const std::string& signed_name) {
    const auto good =
        CheckSignatures(requirement, ParseReference(name).value(), {digest_}, {signer_.Sign(signed_name, digest_)});
    if (!good) reason_ = good.error().message();
    return static_cast<bool>(good);
  }

  const Signer signer_;
  const std::string digest_ = DigestOf("manifest");
  std::string reason_;
};

TEST_F(Signatures, IdentitiesAreComparedAsThePolicySays) {
  struct Row {
    IdentityMatch match;
    std::string name, signed_name;
    bool fits;
  };
  const std::string by_digest = "reg.example/app@" + digest_;
  const std::vector<Row> rows = {
      {IdentityMatch::kExact, "reg.example/app:1", "reg.example/app:1", true},
      {IdentityMatch::kExact, "reg.example/app:1", "reg.example/app:2", false},
      {IdentityMatch::kExact, "reg.example/app:latest", "reg.example/app", false},
      {IdentityMatch::kExact, by_digest, "reg.example/app:1", false},
      {IdentityMatch::kRepository, "reg.example/app:1", "reg.example/app", true},
      {IdentityMatch::kRepository, "reg.example/app:1", "reg.example/app:2", true},
      {IdentityMatch::kRepository, "reg.example/app:1", "reg.example/other", false},
      {IdentityMatch::kRepoDigestOrExact, "reg.example/app:1", "reg.example/app:1", true},
      {IdentityMatch::kRepoDigestOrExact, "reg.example/app:1", "reg.example/app:2", false},
      {IdentityMatch::kRepoDigestOrExact, by_digest, "reg.example/app:2", true},
      {IdentityMatch::kRepoDigestOrExact, by_digest, "reg.example/other:2", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Fits(Require(row.match), row.name, row.signed_name), row.fits) << row.name << " " << row.signed_name;
  }
  Requirement exact = Require(IdentityMatch::kExactReference);
  exact.identity = "origin.example/app:1";
  EXPECT_TRUE(Fits(exact, "reg.example/mirror:7", "origin.example/app:1"));
  EXPECT_FALSE(Fits(exact, "reg.example/mirror:7", "origin.example/app:2"));
  Requirement repository = Require(IdentityMatch::kExactRepository);
  repository.identity = "origin.example/app";
  EXPECT_TRUE(Fits(repository, "reg.example/mirror:7", "origin.example/app:2"));
  Requirement remap = Require(IdentityMatch::kRemap);
  remap.prefix = "mirror.example/hub";
  remap.signed_prefix = "docker.io";
  EXPECT_TRUE(Fits(remap, "mirror.example/hub/library/busybox:1", "docker.io/library/busybox:1"));
  EXPECT_FALSE(Fits(remap, "mirror.example/hubble/library/busybox:1", "docker.io/library/busybox:1"));
}

TEST_F(Signatures, OnlyTheRightKeyOverTheRightDigestCounts) {
  const Requirement requirement = Require(IdentityMatch::kRepository);
  const Reference name = ParseReference("reg.example/app:1").value();
  const Signer stranger;
  const auto check = [&](const ImageSignature& signature) {
    const auto good = CheckSignatures(requirement, name, {digest_}, {signature});
    return good ? std::string() : good.error().message();
  };
  EXPECT_EQ(check(signer_.Sign("reg.example/app", digest_)), "");
  EXPECT_THAT(check(stranger.Sign("reg.example/app", digest_)), HasSubstr("not made by the key"));
  EXPECT_THAT(check(signer_.Sign("reg.example/app", DigestOf("other"))), HasSubstr("another digest"));
  ImageSignature changed = signer_.Sign("reg.example/app", DigestOf("other"));
  changed.payload.replace(changed.payload.find(DigestOf("other")), digest_.size(), digest_);
  EXPECT_THAT(check(changed), HasSubstr("not made by the key"));
  EXPECT_THAT(check(signer_.SignText("not json")), HasSubstr("signed text"));
  EXPECT_THAT(check(signer_.SignText(std::string(70000, ' '))), HasSubstr("64 KiB"));
  EXPECT_THAT(check({"", ""}), HasSubstr("not made by the key"));
  const auto none = CheckSignatures(requirement, name, {digest_}, {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("not signed"));
  // One good one among many bad ones is enough, and any of the keys.
  Requirement two_keys = requirement;
  two_keys.keys.insert(two_keys.keys.begin(), stranger.public_pem());
  EXPECT_OK(CheckSignatures(two_keys, name, {DigestOf("index"), digest_},
                            {changed, signer_.Sign("reg.example/app", digest_)}));
}

TEST(Base64, IsStrict) {
  EXPECT_EQ(DecodeBase64("aGVsbG8=").value(), "hello");
  EXPECT_EQ(DecodeBase64(" aGVsbG8=\n").value(), "hello");
  EXPECT_EQ(DecodeBase64("").value(), "");
  for (const char* const text : {"a", "ab", "abc", "a===", "=aaa", "aG=sbG8=", "aGVs bG8=", "aGVsbG8-"}) {
    EXPECT_FALSE(DecodeBase64(text)) << text;
  }
  for (const std::string& bytes :
       {std::string(), std::string("a"), std::string("\0\xff\x80", 3), std::string(4, 'x')}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)).value(), bytes);
  }
}

}  // namespace
}  // namespace fermata::overlay::testing
