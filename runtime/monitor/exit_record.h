// What the monitor leaves on disk about an ended container, before it tells anybody: fixed size, checksummed,
// appended to the sandbox's file `exits`. Read when the monitor itself is lost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::runtime {

struct ExitRecord {
  uint32_t magic = 0x46455831;  // "FEX1"
  int32_t exit_code = 0;
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
  uint32_t oom_killed = 0;
  uint32_t reserved = 0;
  std::array<char, 64> container_id{};
  uint32_t reserved2 = 0;
  uint32_t checksum = 0;  // CRC-32 of everything before

  [[nodiscard]] std::string_view id() const { return {container_id.data(), container_id.size()}; }
};
static_assert(sizeof(ExitRecord) == 104);

ExitRecord MakeExitRecord(std::string_view container_id, int exit_code, bool oom_killed, int64_t started_at_ns,
                          int64_t finished_at_ns);

// All whole and undamaged records of a file; a torn or damaged one is passed over.
std::vector<ExitRecord> ParseExitRecords(std::string_view data);

}  // namespace fermata::runtime
