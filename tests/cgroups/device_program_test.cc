// The generated programs, run by a small interpreter of the instructions that the generator uses, against a
// direct reading of the rules.
#include "cgroups/device_program.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "cgroups/devices.h"
#include "tests/cgroups/fake_group.h"
#include "tests/fixtures/device_verdict.h"

namespace fermata::cgroups {
namespace {

using Question = testing::DeviceQuestion;

std::string Name(const Question& q) {
  return (q.type == DeviceType::kChar ? "c " : "b ") + std::to_string(q.major) + ":" + std::to_string(q.minor) +
         " access " + std::to_string(q.access);
}

bool Allowed(const std::vector<DeviceRule>& rules, const Question& question) {
  const auto program = CompileDeviceRules(rules);
  EXPECT_TRUE(Succeeded(program));
  if (!program) return false;
  const auto verdict = testing::DeviceVerdict(*program, question);
  EXPECT_TRUE(verdict) << "ran off the end, or an unknown instruction";
  return verdict == 1U;
}

bool Expected(const std::vector<DeviceRule>& rules, const Question& question) {
  return testing::AllowedByRules(rules, question);
}

constexpr DeviceType kChar = DeviceType::kChar;
constexpr DeviceType kBlock = DeviceType::kBlock;

TEST(CompileDeviceRules, WithoutRulesNothingIsAllowed) {
  EXPECT_FALSE(Allowed({}, {kChar, 1, 3, kDeviceRead}));
  EXPECT_FALSE(Allowed({}, {kBlock, 8, 0, kDeviceMknod}));
}

TEST(CompileDeviceRules, LaterRulesWin) {
  const DeviceRule allow{kChar, 1, 3, kDeviceAll, true};
  const DeviceRule deny{kChar, 1, 3, kDeviceWrite, false};
  EXPECT_FALSE(Allowed({allow, deny}, {kChar, 1, 3, kDeviceWrite}));
  EXPECT_TRUE(Allowed({allow, deny}, {kChar, 1, 3, kDeviceRead}));
  EXPECT_TRUE(Allowed({deny, allow}, {kChar, 1, 3, kDeviceWrite}));
}

TEST(CompileDeviceRules, TwoRulesTogetherGrantWhatEachGrantsInPart) {
  const std::vector<DeviceRule> rules{{kChar, 1, 3, kDeviceRead, true}, {kChar, 1, -1, kDeviceWrite, true}};
  EXPECT_TRUE(Allowed(rules, {kChar, 1, 3, kDeviceRead | kDeviceWrite}));
  EXPECT_FALSE(Allowed(rules, {kChar, 1, 4, kDeviceRead | kDeviceWrite}));
}

TEST(CompileDeviceRules, TellsCharacterFromBlockDevices) {
  const std::vector<DeviceRule> rules{{kBlock, 8, -1, kDeviceRead, true}};
  EXPECT_TRUE(Allowed(rules, {kBlock, 8, 5, kDeviceRead}));
  EXPECT_FALSE(Allowed(rules, {kChar, 8, 5, kDeviceRead}));
}

TEST(CompileDeviceRules, TheDefaultsAllowPseudoDevicesAndNoDisk) {
  const std::vector<DeviceRule> rules = DefaultDeviceRules();
  for (const uint32_t minor : {3U, 5U, 7U, 8U, 9U}) {
    EXPECT_TRUE(Allowed(rules, {kChar, 1, minor, kDeviceRead | kDeviceWrite}));
  }
  EXPECT_TRUE(Allowed(rules, {kChar, 136, 42, kDeviceRead | kDeviceWrite}));
  EXPECT_TRUE(Allowed(rules, {kBlock, 8, 0, kDeviceMknod}));
  EXPECT_FALSE(Allowed(rules, {kBlock, 8, 0, kDeviceRead}));
  EXPECT_FALSE(Allowed(rules, {kChar, 1, 1, kDeviceRead}));   // /dev/mem
  EXPECT_FALSE(Allowed(rules, {kChar, 1, 11, kDeviceRead}));  // /dev/kmsg
  EXPECT_FALSE(Allowed(rules, {kChar, 10, 229, kDeviceRead}));
}

TEST(CompileDeviceRules, AllowAllAllowsAll) {
  EXPECT_TRUE(Allowed(AllowAllDeviceRules(), {kBlock, 8, 0, kDeviceAll}));
  EXPECT_TRUE(Allowed(AllowAllDeviceRules(), {kChar, UINT32_MAX, UINT32_MAX, kDeviceAll}));
}

TEST(CompileDeviceRules, ComparesLargeNumbersWithoutSign) {
  const std::vector<DeviceRule> rules{{kChar, UINT32_MAX, 0x80000000, kDeviceRead, true}};
  EXPECT_TRUE(Allowed(rules, {kChar, UINT32_MAX, 0x80000000, kDeviceRead}));
  EXPECT_FALSE(Allowed(rules, {kChar, 0x7fffffff, 0x80000000, kDeviceRead}));
}

TEST(CompileDeviceRules, DropsRulesBeforeOneThatDecidesEverything) {
  std::vector<DeviceRule> rules(100, DeviceRule{kChar, 1, 3, kDeviceAll, true});
  rules.push_back({DeviceType::kAll, -1, -1, kDeviceAll, false});
  EXPECT_LT(CompileDeviceRules(rules)->size(), 20U);
}

TEST(CompileDeviceRules, AgreesWithTheRulesReadDirectly) {
  std::mt19937 random(20261122);  // a fixed seed: the same lists each time
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int round = 0; round < 300; ++round) {
    std::vector<DeviceRule> rules(static_cast<size_t>(pick(0, 6)));
    for (DeviceRule& rule : rules) {
      rule = {static_cast<DeviceType>(pick(0, 2)), pick(-1, 2), pick(-1, 2), static_cast<uint8_t>(pick(0, 7)),
              pick(0, 1) == 1};
    }
    for (int n = 0; n < 2 * 3 * 3 * 7; ++n) {
      const Question q{n % 2 == 0 ? kChar : kBlock, static_cast<uint32_t>(n / 2 % 3), static_cast<uint32_t>(n / 6 % 3),
                       static_cast<uint8_t>(1 + n / 18)};
      ASSERT_EQ(Allowed(rules, q), Expected(rules, q)) << "round " << round << ", " << Name(q);
    }
  }
}

TEST(CompileDeviceRules, RefusesNumbersThatAreNoneAndEndlessLists) {
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, CompileDeviceRules(std::vector{DeviceRule{kChar, -2, 0}})));
  EXPECT_TRUE(
      FailsWith(ErrorCode::kInvalidArgument, CompileDeviceRules(std::vector{DeviceRule{kChar, 0, int64_t{1} << 32}})));
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, CompileDeviceRules(std::vector<DeviceRule>(1025))));
}

TEST(ParseDeviceAccess, TakesLettersOfRwmOnceEach) {
  EXPECT_EQ(*ParseDeviceAccess("rwm"), kDeviceAll);
  EXPECT_EQ(*ParseDeviceAccess("mr"), kDeviceMknod | kDeviceRead);
  for (const char* text : {"", "x", "rr", "rwmx", "R", "rw m"}) {
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, ParseDeviceAccess(text)));
  }
}

}  // namespace
}  // namespace fermata::cgroups
