#include "runtime/launch/seccomp_compact.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace fermata::runtime {
namespace {

using Program = std::vector<sock_filter>;

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint16_t kJump = BPF_JMP | BPF_JA;
constexpr uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kGreater = BPF_JMP | BPF_JGT | BPF_K;
constexpr uint16_t kGreaterEqual = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint16_t kAnySet = BPF_JMP | BPF_JSET | BPF_K;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint32_t kNumber = offsetof(seccomp_data, nr);
constexpr uint32_t kArchitecture = offsetof(seccomp_data, arch);
constexpr size_t kMaxReach = 255;  // of a conditional jump

bool IsConditional(uint16_t code) {
  return code == kEqual || code == kGreater || code == kGreaterEqual || code == kAnySet;
}

// Whether all of it is of the kinds that are understood below, and every jump stays inside.
bool IsUnderstood(const Program& program) {
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& i = program[at];
    size_t last = at + 1;
    if (i.code == kReturn) last = at;
    if (i.code == kJump) last += i.k;
    if (IsConditional(i.code)) last += std::max(i.jt, i.jf);
    if (i.code != kReturn && i.code != kJump && i.code != kLoad && i.code != kAnd && !IsConditional(i.code))
      return false;
    if (last >= program.size()) return false;
  }
  return !program.empty();
}

// The constants that the two fields are compared with.
struct Constants {
  std::set<uint32_t> numbers;  // 0 and every number at which an outcome may change
  std::set<uint32_t> architectures;
};

// Nullopt where a field is not only compared: then its outcomes change in more places.
std::optional<Constants> ConstantsOf(const Program& program) {
  enum : uint8_t { kHasNumber = 1, kHasArchitecture = 2, kHasArgument = 4 };
  Constants constants{{0}, {}};
  // What the accumulator may hold before each instruction. One pass: jumps go forward only.
  std::vector<uint8_t> holds(program.size() + 1, 0);
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& i = program[at];
    if (i.code == kReturn) continue;
    if (i.code == kLoad) {
      holds[at + 1] |= i.k == kNumber ? kHasNumber : i.k == kArchitecture ? kHasArchitecture : kHasArgument;
      continue;
    }
    const bool only_equal = i.code == kEqual || i.code == kJump;
    const bool only_compared = only_equal || i.code == kGreater || i.code == kGreaterEqual;
    if ((holds[at] & kHasNumber) != 0 && !only_compared) return std::nullopt;
    if ((holds[at] & kHasArchitecture) != 0 && !only_equal) return std::nullopt;
    if ((holds[at] & kHasNumber) != 0 && i.code != kJump) {
      constants.numbers.insert(i.k);
      if (i.k != UINT32_MAX) constants.numbers.insert(i.k + 1);
    }
    if ((holds[at] & kHasArchitecture) != 0 && i.code != kJump) constants.architectures.insert(i.k);
    if (i.code == kJump) {
      holds[at + 1 + i.k] |= holds[at];
    } else if (IsConditional(i.code)) {
      holds[at + 1 + i.jt] |= holds[at];
      holds[at + 1 + i.jf] |= holds[at];
    } else {
      holds[at + 1] |= holds[at];
    }
  }
  return constants;
}

// Where a call of that architecture and number ends up: at a return, or where an argument is loaded. Nullopt if the
// way there is not understood.
std::optional<size_t> Evaluate(const Program& program, uint32_t architecture, uint32_t number) {
  std::optional<uint32_t> accumulator;
  for (size_t at = 0; at < program.size();) {
    const sock_filter& i = program[at];
    if (i.code == kReturn) return at;
    if (i.code == kLoad && i.k != kNumber && i.k != kArchitecture) return at;
    if (i.code == kLoad) {
      accumulator = i.k == kNumber ? number : architecture;
      ++at;
      continue;
    }
    if (i.code == kJump) {
      at += 1 + i.k;
      continue;
    }
    if (!accumulator || !IsConditional(i.code) || i.code == kAnySet) return std::nullopt;
    const bool taken = i.code == kEqual     ? *accumulator == i.k
                       : i.code == kGreater ? *accumulator > i.k
                                            : *accumulator >= i.k;
    at += size_t{1} + (taken ? i.jt : i.jf);
  }
  return std::nullopt;
}

// Calls from `first` to the next range's first; `outcome` is a place in the old program.
struct Range {
  uint32_t first;
  size_t outcome;
};

std::optional<std::vector<Range>> RangesOf(const Program& program, uint32_t architecture,
                                           const std::set<uint32_t>& numbers) {
  std::vector<Range> ranges;
  for (const uint32_t number : numbers) {
    auto outcome = Evaluate(program, architecture, number);
    if (!outcome) return std::nullopt;
    // The same answer may stand at many places.
    if (program[*outcome].code == kReturn) {
      const auto first = std::find_if(program.begin(), program.end(), [&](const sock_filter& i) {
        return i.code == kReturn && i.k == program[*outcome].k;
      });
      outcome = static_cast<size_t>(first - program.begin());
    }
    if (ranges.empty() || ranges.back().outcome != *outcome) ranges.push_back({number, *outcome});
  }
  return ranges;
}

// Writes a program from its end to its beginning, as jumps go forward only. A label is the number of instructions
// from that one to the end.
class BackwardWriter {
 public:
  using Label = size_t;

  explicit BackwardWriter(const Program& old) : old_(old) {}

  Label Put(sock_filter instruction) {
    reversed_.push_back(instruction);
    return reversed_.size();
  }
  Label Branch(uint16_t code, uint32_t k, Label yes, Label no) {
    no = Near(no, 1);  // the other jump may come to stand between
    yes = Near(yes, 0);
    return Put({code, Distance(yes), Distance(no), k});
  }
  Label JumpTo(Label target) {
    if (target == reversed_.size()) return target;
    return Put({kJump, 0, 0, static_cast<uint32_t>(reversed_.size() - target)});
  }
  // The code that begins at `at` in the old program. Copied once; a return again where the first is far away.
  Label Copy(size_t at) {
    const sock_filter i = old_[at];
    if (const auto done = copied_.find(at); done != copied_.end()) {
      if (i.code != kReturn || reversed_.size() - done->second < kMaxReach / 2) return done->second;
    }
    Label label = 0;
    if (i.code == kReturn) {
      label = Put(i);
    } else if (i.code == kJump) {
      label = Copy(at + 1 + i.k);
    } else if (IsConditional(i.code)) {
      const Label no = Copy(at + 1 + i.jf);
      const Label yes = Copy(at + 1 + i.jt);
      label = Branch(i.code, i.k, yes, no);
    } else {
      const Label next = Copy(at + 1);
      (void)JumpTo(next);
      label = Put(i);
    }
    return copied_[at] = label;
  }
  // The search among ranges[begin, end).
  Label Tree(const std::vector<Range>& ranges, size_t begin, size_t end) {
    if (end - begin == 1) return Copy(ranges[begin].outcome);
    const size_t middle = begin + (end - begin) / 2;
    const Label high = Tree(ranges, middle, end);
    const Label low = Tree(ranges, begin, middle);
    return Branch(kGreaterEqual, ranges[middle].first, high, low);
  }
  // The tree of one architecture, from the loading of the number on.
  Label Section(const std::vector<Range>& ranges) {
    const Label tree = Tree(ranges, 0, ranges.size());
    (void)JumpTo(tree);
    return Put({kLoad, 0, 0, kNumber});
  }
  [[nodiscard]] Program Finish() const { return {reversed_.rbegin(), reversed_.rend()}; }

 private:
  [[nodiscard]] uint8_t Distance(Label target) const { return static_cast<uint8_t>(reversed_.size() - target); }
  // A label in reach of an instruction that is written after `between` others.
  Label Near(Label target, size_t between) {
    return reversed_.size() + between - target <= kMaxReach ? target : Put({kJump, 0, 0, JumpLength(target)});
  }
  [[nodiscard]] uint32_t JumpLength(Label target) const { return static_cast<uint32_t>(reversed_.size() - target); }

  const Program& old_;
  Program reversed_;
  std::map<size_t, Label> copied_;
};

}  // namespace

std::vector<sock_filter> CompactFilter(const std::vector<sock_filter>& program) {
  if (!IsUnderstood(program)) return program;
  const auto constants = ConstantsOf(program);
  if (!constants) return program;
  // All architectures that are not named answer as one of them does.
  uint32_t other = 1;
  while (constants->architectures.contains(other)) ++other;
  const auto others = RangesOf(program, other, constants->numbers);
  if (!others) return program;
  std::vector<std::pair<uint32_t, std::vector<Range>>> sections;
  for (const uint32_t architecture : constants->architectures) {
    auto ranges = RangesOf(program, architecture, constants->numbers);
    if (!ranges) return program;
    sections.emplace_back(architecture, std::move(*ranges));
  }
  BackwardWriter writer(program);
  auto next = writer.Section(*others);
  for (auto& [architecture, ranges] : sections) {
    const auto section = writer.Section(ranges);
    next = writer.Branch(kEqual, architecture, section, next);
  }
  (void)writer.JumpTo(next);
  (void)writer.Put({kLoad, 0, 0, kArchitecture});
  Program compact = writer.Finish();
  return compact.size() < program.size() ? compact : program;
}

}  // namespace fermata::runtime
