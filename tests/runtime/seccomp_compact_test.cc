// The compact filter answers every call as libseccomp's does; and is compact.
#include "runtime/launch/seccomp_compact.h"

#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <random>

#include "runtime/launch/seccomp.h"
#include "tests/fixtures/seccomp_answer.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using Program = std::vector<sock_filter>;
using ::testing::IsEmpty;
using ::testing::SizeIs;

uint32_t Answer(const Program& program, const seccomp_data& call) {
  const auto answer = testing::SeccompAnswer(program, call);
  EXPECT_TRUE(answer) << "the program has no end, or an unknown instruction";
  return answer.value_or(0);
}

// Arguments that the program may look at: what it compares with, its neighbours, halves, and noise.
std::vector<uint64_t> Arguments(const Program& program) {
  std::vector<uint64_t> values = {0, 1, UINT32_MAX, UINT64_MAX, uint64_t{1} << 32};
  std::mt19937_64 random(1);
  for (const sock_filter& i : program) {
    if ((i.code & 7) != BPF_JMP && (i.code & 7) != BPF_ALU) continue;
    if (i.k < 1024 || (i.k >= 0x40000000 && i.k < 0x40000400)) continue;  // numbers of calls, mostly
    for (const uint64_t value : {uint64_t{i.k}, i.k + uint64_t{1}, uint64_t{i.k} << 32, ~uint64_t{i.k}}) {
      values.push_back(value);
    }
  }
  for (int i = 0; i < 8; ++i) values.push_back(uint64_t{1} << (random() % 64));
  return values;
}

void ExpectSameAnswers(const Program& listed, const Program& compact) {
  const std::vector<uint64_t> arguments = Arguments(listed);
  std::vector<uint32_t> numbers = {0x3fffffff, 0x7fffffff, 0x80000000, UINT32_MAX, UINT32_MAX - 1};
  for (uint32_t n = 0; n < 700; ++n) {
    numbers.push_back(n);
    numbers.push_back(0x40000000 + n);
  }
  std::mt19937_64 random(2);
  constexpr uint32_t kArchitectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 1,
                                         UINT32_MAX};
  for (const uint32_t architecture : kArchitectures) {
    for (const uint32_t number : numbers) {
      for (const uint64_t value : arguments) {
        seccomp_data call{static_cast<int>(number), architecture, 0, {value, value, value, value, value, value}};
        for (auto& argument : call.args) {
          if (random() % 4 == 0) argument = arguments[random() % arguments.size()];
        }
        ASSERT_EQ(Answer(compact, call), Answer(listed, call))
            << "architecture " << std::hex << architecture << " call " << number << " argument " << call.args[0];
      }
    }
  }
}

TEST(SeccompCompact, AnswersAsTheListOfTheDefaultProfileDoesInAThirdOfItsLength) {
  for (const std::vector<std::string>& capabilities :
       {std::vector<std::string>{}, {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"}}) {
    const auto listed = ListSeccomp(DefaultSeccompProfile(capabilities));
    ASSERT_OK(listed);
    const Program compact = CompactFilter(*listed);
    EXPECT_LT(compact.size() * 3, listed->size());
    ExpectSameAnswers(*listed, compact);
  }
}

TEST(SeccompCompact, KeepsEveryKindOfArgumentCheck) {
  Seccomp profile{.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"}};
  const std::vector<std::string> calls = {"read", "write", "open", "close", "stat", "fstat", "lseek"};
  const std::vector<std::string> operators = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                              "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  for (size_t i = 0; i < operators.size(); ++i) {
    profile.rules.push_back({{calls[i]}, "SCMP_ACT_ERRNO", i + 1, {{2, 0x123456789aULL, 0x1000ULL, operators[i]}}});
    profile.rules.push_back({{calls[i]}, "SCMP_ACT_KILL_PROCESS", {}, {{1, 77777, 77777, "SCMP_CMP_EQ"}}});
  }
  const auto listed = ListSeccomp(profile);
  ASSERT_OK(listed);
  ExpectSameAnswers(*listed, CompactFilter(*listed));
}

TEST(SeccompCompact, LeavesAloneWhatItDoesNotUnderstand) {
  const Program multiplies = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                              {BPF_ALU | BPF_MUL | BPF_K, 0, 0, 2},
                              {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  EXPECT_THAT(CompactFilter(multiplies), SizeIs(3));
  const Program masks_the_number = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                    {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x40000000},
                                    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
                                    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  EXPECT_THAT(CompactFilter(masks_the_number), SizeIs(4));
  const Program jumps_out = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                             {BPF_JMP | BPF_JEQ | BPF_K, 9, 0, 1},
                             {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  EXPECT_THAT(CompactFilter(jumps_out), SizeIs(3));
  EXPECT_THAT(CompactFilter({}), IsEmpty());
}

// Ranges further apart than a conditional jump reaches.
TEST(SeccompCompact, LongProgramsKeepTheirJumps) {
  Program listed = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  for (uint32_t number = 0; number < 600; ++number) {
    listed.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number});
    listed.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (number / 2 + 1)});
  }
  listed.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  const Program compact = CompactFilter(listed);
  EXPECT_LT(compact.size(), listed.size());
  ExpectSameAnswers(listed, compact);
}

}  // namespace
}  // namespace fermata::runtime
