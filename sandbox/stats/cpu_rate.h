// CpuRate: how much of a processor is in use, from two readings of what was used since the start. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>

namespace fermata::sandbox::stats {

class CpuRate {
 public:
  // Below this distance two readings say more about their jitter than about the load.
  static constexpr int64_t kShortest = 1'000'000'000;

  // Nanoseconds used since the start, and when they were read (steady clock). Gives billionths of a processor; nothing
  // before the second reading. Several clients may read at once: one that comes too soon gets the rate of before.
  std::optional<uint64_t> Update(uint64_t used_ns, int64_t read_at_ns) {
    const int64_t distance = read_at_ns - base_at_ns_;
    const bool first = !has_base_ || used_ns < base_used_ns_;  // less than before: another group
    if (first) rate_.reset();
    if (!first && distance < kShortest) return rate_;
    if (!first) {
      rate_ = static_cast<uint64_t>(static_cast<double>(used_ns - base_used_ns_) * 1e9 / static_cast<double>(distance));
    }
    has_base_ = true;
    base_used_ns_ = used_ns;
    base_at_ns_ = read_at_ns;
    return rate_;
  }

 private:
  bool has_base_ = false;
  uint64_t base_used_ns_ = 0;
  int64_t base_at_ns_ = 0;
  std::optional<uint64_t> rate_;
};

}  // namespace fermata::sandbox::stats
