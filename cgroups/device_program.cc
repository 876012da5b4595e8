#include "cgroups/device_program.h"

#include <cstddef>
#include <limits>
#include <optional>
#include <string>

namespace fermata::cgroups {
namespace {

// The verifier keeps up to three open branches a rule and gives up at 8192.
constexpr size_t kMaxRules = 1024;

// Registers: r1 the context, r0 the verdict; the others are ours.
constexpr uint8_t kVerdict = BPF_REG_0;
constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kWanted = BPF_REG_2;  // kinds of access not yet granted
constexpr uint8_t kScratch = BPF_REG_3;

constexpr bpf_insn Instruction(uint8_t code, uint8_t destination, uint8_t source, int16_t offset, int32_t immediate) {
  bpf_insn instruction{};
  instruction.code = code;
  instruction.dst_reg = destination & 0xf;
  instruction.src_reg = source & 0xf;
  instruction.off = offset;
  instruction.imm = immediate;
  return instruction;
}

constexpr bpf_insn LoadWord(uint8_t destination, uint8_t base, size_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_W, destination, base, static_cast<int16_t>(offset), 0);
}
constexpr bpf_insn Move(uint8_t destination, uint8_t source) {
  return Instruction(BPF_ALU | BPF_MOV | BPF_X, destination, source, 0, 0);
}
constexpr bpf_insn MoveImmediate(uint8_t destination, int32_t value) {
  return Instruction(BPF_ALU | BPF_MOV | BPF_K, destination, 0, 0, value);
}
constexpr bpf_insn AndImmediate(uint8_t destination, int32_t mask) {
  return Instruction(BPF_ALU | BPF_AND | BPF_K, destination, 0, 0, mask);
}
constexpr bpf_insn ShiftRight(uint8_t destination, int32_t bits) {
  return Instruction(BPF_ALU | BPF_RSH | BPF_K, destination, 0, 0, bits);
}
constexpr bpf_insn Exit() { return Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

// Jumps to the end of the rule. 32 bits wide: a device number above 2^31 would be sign-extended otherwise.
constexpr bpf_insn SkipRuleIfNotEqual(uint8_t reg, uint32_t value) {
  return Instruction(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, static_cast<int32_t>(value));
}
constexpr bpf_insn SkipRuleIfEqual(uint8_t reg, uint32_t value) {
  return Instruction(BPF_JMP32 | BPF_JEQ | BPF_K, reg, 0, 0, static_cast<int32_t>(value));
}

constexpr bool IsSkip(const bpf_insn& instruction) { return (instruction.code & 0x07) == BPF_JMP32; }

std::optional<uint32_t> KernelType(DeviceType type) {
  switch (type) {
    case DeviceType::kAll:
      return std::nullopt;
    case DeviceType::kBlock:
      return BPF_DEVCG_DEV_BLOCK;
    case DeviceType::kChar:
      return BPF_DEVCG_DEV_CHAR;
  }
  return std::nullopt;
}

bool IsDeviceNumber(int64_t number) { return number >= -1 && number <= std::numeric_limits<uint32_t>::max(); }

bool MatchesEveryDevice(const DeviceRule& rule) {
  return rule.type == DeviceType::kAll && rule.major < 0 && rule.minor < 0;
}

// access_type holds the kinds of access in its upper half and the type in its lower one.
std::vector<bpf_insn> Prologue() {
  return {LoadWord(kWanted, kContext, offsetof(bpf_cgroup_dev_ctx, access_type)), ShiftRight(kWanted, 16)};
}

// What the rule is compared with is loaded anew each time. Kept in registers across rules it would be known to
// the verifier after each comparison, which then follows every combination: 1000 rules were refused by Linux 6.1.
void AppendMatch(const DeviceRule& rule, std::vector<bpf_insn>& program) {
  if (const auto type = KernelType(rule.type)) {
    program.push_back(LoadWord(kScratch, kContext, offsetof(bpf_cgroup_dev_ctx, access_type)));
    program.push_back(AndImmediate(kScratch, 0xffff));
    program.push_back(SkipRuleIfNotEqual(kScratch, *type));
  }
  if (rule.major >= 0) {
    program.push_back(LoadWord(kScratch, kContext, offsetof(bpf_cgroup_dev_ctx, major)));
    program.push_back(SkipRuleIfNotEqual(kScratch, static_cast<uint32_t>(rule.major)));
  }
  if (rule.minor >= 0) {
    program.push_back(LoadWord(kScratch, kContext, offsetof(bpf_cgroup_dev_ctx, minor)));
    program.push_back(SkipRuleIfNotEqual(kScratch, static_cast<uint32_t>(rule.minor)));
  }
}

// A rule that allows crosses its kinds off; when none is left the answer is yes. One that denies says no when
// a kind of its own is still wanted: later rules, which come first in the program, have not granted it.
void AppendRule(const DeviceRule& rule, std::vector<bpf_insn>& program) {
  const size_t begin = program.size();
  AppendMatch(rule, program);
  if (rule.allow) {
    program.push_back(AndImmediate(kWanted, ~rule.access & kDeviceAll));
    program.push_back(SkipRuleIfNotEqual(kWanted, 0));
  } else {
    program.push_back(Move(kScratch, kWanted));
    program.push_back(AndImmediate(kScratch, rule.access));
    program.push_back(SkipRuleIfEqual(kScratch, 0));
  }
  program.push_back(MoveImmediate(kVerdict, rule.allow ? 1 : 0));
  program.push_back(Exit());
  for (size_t i = begin; i < program.size(); ++i) {
    if (IsSkip(program[i])) program[i].off = static_cast<int16_t>(program.size() - i - 1);
  }
}

struct AccessLetter {
  char letter;
  uint8_t bit;
};
constexpr AccessLetter kAccessLetters[] = {{'r', kDeviceRead}, {'w', kDeviceWrite}, {'m', kDeviceMknod}};

uint8_t AccessBit(char letter) {
  for (const AccessLetter& known : kAccessLetters) {
    if (known.letter == letter) return known.bit;
  }
  return 0;
}

Error BadAccess(std::string_view text) {
  return Error::Make(ErrorCode::kInvalidArgument, "device access \"", text, "\": is no part of \"rwm\"");
}

}  // namespace

Result<uint8_t> ParseDeviceAccess(std::string_view text) {
  uint8_t access = 0;
  for (const char letter : text) {
    const uint8_t bit = AccessBit(letter);
    if (bit == 0 || (access & bit) != 0) return BadAccess(text);
    access |= bit;
  }
  if (access == 0) return BadAccess(text);
  return access;
}

Result<std::vector<bpf_insn>> CompileDeviceRules(std::span<const DeviceRule> rules) {
  if (rules.size() > kMaxRules) return Error::Make(ErrorCode::kInvalidArgument, "device rules: more than 1024");
  for (const DeviceRule& rule : rules) {
    if (!IsDeviceNumber(rule.major) || !IsDeviceNumber(rule.minor)) {
      return Error::Make(ErrorCode::kInvalidArgument, "device rule ", std::to_string(rule.major), ":",
                         std::to_string(rule.minor), ": is no device number");
    }
  }
  std::vector<bpf_insn> program = Prologue();
  for (size_t i = rules.size(); i-- > 0;) {
    const DeviceRule& rule = rules[i];
    if ((rule.access & kDeviceAll) == 0) continue;
    AppendRule(rule, program);
    // Rules before one that decides everything cannot matter.
    if (MatchesEveryDevice(rule) && (rule.access & kDeviceAll) == kDeviceAll) break;
  }
  program.push_back(MoveImmediate(kVerdict, 0));
  program.push_back(Exit());
  return program;
}

}  // namespace fermata::cgroups
