// What containers use between two answers of System.Stats: rates, sums, and a table of them. Pure; for `fermata stats`
// and whatever else shows usage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cri/api/fermata_v1.pb.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {

namespace fv1 = ::fermata::v1;

struct UsageRow {
  std::string id, name, pod;
  std::optional<double> cpu_percent;  // 100: one processor; not without an earlier answer
  uint64_t memory_bytes = 0;
  uint64_t limit_bytes = 0;  // the machine's memory where there is no limit
  bool memory_estimated = false;
  double memory_percent = 0;
  uint64_t pids = 0;
  std::optional<uint64_t> received_bytes, sent_bytes;  // absent in the host's network
  std::optional<uint64_t> read_bytes, written_bytes;   // absent where the kernel does not count them
};

// In the order of `now`. `before`: nullptr at first. A container that was not there then has no rate.
std::vector<UsageRow> UsageRows(const fv1::StatsResponse* before, const fv1::StatsResponse& now);

// With a head; as podman's stats.
std::string UsageTable(const std::vector<UsageRow>& rows);
Json UsageJson(const std::vector<UsageRow>& rows);

}  // namespace fermata::cri::cli
