// Device rules to a program of the kernel: run by an interpreter it decides as the rules say. The input: a question,
// then rules, of a few bytes each.
#include "cgroups/device_program.h"
#include "tests/fixtures/device_verdict.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::cgroups {
namespace {

// Small numbers mostly, so that rules meet questions; now and then any.
int64_t NumberOf(fuzz::Bytes& input) {
  const auto choice = input.Take<uint8_t>();
  return choice == 0xff ? input.Take<int64_t>() : choice % 6 - 1;
}

void CheckRules(fuzz::Bytes input) {
  const auto kind = input.Take<uint8_t>();
  const testing::DeviceQuestion question{kind % 2 == 0 ? DeviceType::kChar : DeviceType::kBlock,
                                         static_cast<uint32_t>(NumberOf(input)), static_cast<uint32_t>(NumberOf(input)),
                                         static_cast<uint8_t>(kind >> 1 & kDeviceAll)};
  if (question.access == 0) return;  // the kernel asks for something
  std::vector<DeviceRule> rules;
  while (!input.empty()) {
    const auto choice = input.Take<uint8_t>();
    rules.push_back({static_cast<DeviceType>(choice % 3), NumberOf(input), NumberOf(input),
                     static_cast<uint8_t>(choice >> 2 & kDeviceAll), choice >= 128});
  }
  const auto program = CompileDeviceRules(rules);
  if (!program) return fuzz::CheckError(program.error());
  const auto verdict = testing::DeviceVerdict(*program, question);
  fuzz::Check(verdict.has_value(), "the program has no end");
  fuzz::Check(*verdict <= 1 && (*verdict == 1) == testing::AllowedByRules(rules, question), "decides otherwise");
}

}  // namespace
}  // namespace fermata::cgroups

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const auto access = cgroups::ParseDeviceAccess(fuzz::TextOf(data, size).substr(0, 64));
  if (!access) fuzz::CheckError(access.error());
  if (access) fuzz::Check(*access != 0 && *access <= cgroups::kDeviceAll && size <= 3, "an access that is none");
  cgroups::CheckRules(fuzz::Bytes(data, size));
  return 0;
}
