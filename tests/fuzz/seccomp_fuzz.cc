// A seccomp profile (the JSON of a Localhost profile) to BPF. The compact filter answers every call as libseccomp's
// list does, and the cache never takes one profile for another.
#include <linux/audit.h>

#include <set>

#include "runtime/launch/seccomp.h"
#include "runtime/launch/seccomp_compact.h"
#include "runtime/spec/spec_json.h"
#include "tests/fixtures/seccomp_answer.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

using fuzz::Check;
using Program = std::vector<sock_filter>;

constexpr size_t kMaxText = 4096;  // rules with arguments multiply in libseccomp
constexpr size_t kMaxValues = 48;

// What the program compares with, and its neighbours.
std::vector<uint32_t> ValuesOf(const Program& program) {
  std::set<uint32_t> values = {0, 1, 0x40000000, UINT32_MAX};
  for (const sock_filter& i : program) {
    if ((i.code & 7) == BPF_JMP && values.size() < kMaxValues) values.insert({i.k - 1, i.k, i.k + 1});
  }
  return {values.begin(), values.end()};
}

void CheckSameAnswers(const Program& listed, const Program& compact) {
  const std::vector<uint32_t> values = ValuesOf(listed);
  constexpr uint32_t kArchitectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};
  size_t at = 0;
  for (const uint32_t architecture : kArchitectures) {
    for (const uint32_t number : values) {
      for (int i = 0; i < 4; ++i) {
        seccomp_data call{static_cast<int>(number), architecture, 0, {}};
        for (auto& argument : call.args) {
          argument = uint64_t{values[at % values.size()]} << 32 | values[at / 3 % values.size()];
          if (i % 2 == 0) argument &= UINT32_MAX;
          at += 7;
        }
        const auto answer = testing::SeccompAnswer(listed, call);
        Check(answer.has_value(), "libseccomp's program has no end");
        Check(testing::SeccompAnswer(compact, call) == answer, "the compact filter answers otherwise");
      }
    }
  }
}

bool SameInstructions(const Program& a, const Program& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0);
}

// After a profile that looks alike when its words are joined carelessly.
void CheckCache(const Seccomp& profile, const SeccompFilter& compiled) {
  Seccomp alike = profile;
  for (SeccompRule& rule : alike.rules) {
    std::string joined;
    for (const std::string& name : rule.names) joined += (joined.empty() ? "" : " ") + name;
    rule.names = {joined};
  }
  SeccompCache cache;
  (void)cache.Get(alike);
  const auto cached = cache.Get(profile);
  Check(cached && SameInstructions((*cached)->instructions, compiled->instructions) &&
            (*cached)->flags == compiled->flags,
        "the cache gave the filter of another profile");
}

void CheckProfile(std::string_view text) {
  const auto profile = SeccompFromJson(text);
  if (!profile) return fuzz::CheckError(profile.error());
  const auto listed = ListSeccomp(*profile);
  if (!listed) return fuzz::CheckError(listed.error());
  CheckSameAnswers(*listed, CompactFilter(*listed));
  const auto compiled = CompileSeccomp(*profile);
  if (!compiled) return fuzz::CheckError(compiled.error());
  CheckCache(*profile, *compiled);
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  if (size <= runtime::kMaxText) runtime::CheckProfile(fuzz::TextOf(data, size));
  return 0;
}
