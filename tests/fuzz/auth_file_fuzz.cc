// Docker's config.json and what a credential helper prints: whatever is in them, keys are found again in their own form
// and errors quote nothing.
#include "overlay/registry/auth_file.h"
#include "overlay/registry/credential_helper.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckFile(std::string_view text) {
  const auto file = ParseAuthFile(text, "auth.json");
  if (!file) return fuzz::CheckError(file.error());
  for (const auto& [key, credentials] : file->auths) {
    Check(!credentials.empty(), "an entry without credentials");
    Check(NormalizeAuthKey(key) == key || key.find("://") != std::string::npos || key.ends_with("/v1") ||
              key.ends_with("/v2"),
          "a key that changes: " + key);
    (void)ChooseAuth(*file, {key, "a/b"});
  }
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fermata::overlay::CheckFile(fermata::fuzz::TextOf(data, size));
  const auto answer = fermata::overlay::ParseHelperAnswer(fermata::fuzz::TextOf(data, size), "helper");
  if (!answer) fermata::fuzz::CheckError(answer.error());
  return 0;
}
