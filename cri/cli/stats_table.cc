#include "cri/cli/stats_table.h"

#include <fmt/format.h>

#include <map>

#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

constexpr size_t kShortId = 12;

std::optional<double> Percent(const fv1::ContainerUsage* before, const fv1::ContainerUsage& now) {
  if (before == nullptr || now.time_unix_nanos() <= before->time_unix_nanos()) return std::nullopt;
  if (now.cpu_nanos() < before->cpu_nanos()) return std::nullopt;  // another group under the same id
  const auto used = static_cast<double>(now.cpu_nanos() - before->cpu_nanos());
  return 100 * used / static_cast<double>(now.time_unix_nanos() - before->time_unix_nanos());
}

std::string Pair(const std::optional<uint64_t>& one, const std::optional<uint64_t>& other) {
  if (!one || !other) return "-- / --";
  return HumanBytes(*one) + " / " + HumanBytes(*other);
}

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

std::vector<UsageRow> UsageRows(const fv1::StatsResponse* before, const fv1::StatsResponse& now) {
  std::map<std::string, const fv1::ContainerUsage*> earlier;
  if (before != nullptr) {
    for (const fv1::ContainerUsage& one : before->containers()) earlier[one.id()] = &one;
  }
  std::vector<UsageRow> rows;
  for (const fv1::ContainerUsage& one : now.containers()) {
    const auto found = earlier.find(one.id());
    UsageRow& row = rows.emplace_back();
    row.id = one.id();
    row.name = one.name();
    row.pod = one.pod();
    row.cpu_percent = Percent(found == earlier.end() ? nullptr : found->second, one);
    row.memory_bytes = one.memory_bytes();
    row.limit_bytes = one.memory_limit_bytes() != 0 ? one.memory_limit_bytes() : now.memory_total_bytes();
    row.memory_estimated = one.memory_estimated();
    if (row.limit_bytes != 0) {
      row.memory_percent = 100 * static_cast<double>(row.memory_bytes) / static_cast<double>(row.limit_bytes);
    }
    row.pids = one.pids();
    if (one.has_network_received_bytes()) row.received_bytes = one.network_received_bytes();
    if (one.has_network_sent_bytes()) row.sent_bytes = one.network_sent_bytes();
    if (one.has_block_read_bytes()) row.read_bytes = one.block_read_bytes();
    if (one.has_block_written_bytes()) row.written_bytes = one.block_written_bytes();
  }
  return rows;
}

std::string UsageTable(const std::vector<UsageRow>& rows) {
  std::vector<std::vector<std::string>> table = {
      {"CONTAINER ID", "POD", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS"}};
  for (const UsageRow& row : rows) {
    table.push_back({row.id.substr(0, kShortId), Printable(row.pod), Printable(row.name),
                     row.cpu_percent ? fmt::format("{:.2f}%", *row.cpu_percent) : "--",
                     HumanBytes(row.memory_bytes) + " / " + HumanBytes(row.limit_bytes),
                     fmt::format("{:.2f}%", row.memory_percent), Pair(row.received_bytes, row.sent_bytes),
                     Pair(row.read_bytes, row.written_bytes), std::to_string(row.pids)});
  }
  return FormatTable(table);
}

Json UsageJson(const std::vector<UsageRow>& rows) {
  Json all = Json::array();
  for (const UsageRow& row : rows) {
    all.push_back({{"id", row.id},
                   {"name", row.name},
                   {"pod", row.pod},
                   {"cpu_percent", OrNull(row.cpu_percent)},
                   {"memory_bytes", row.memory_bytes},
                   {"memory_limit_bytes", row.limit_bytes},
                   {"memory_estimated", row.memory_estimated},
                   {"memory_percent", row.memory_percent},
                   {"pids", row.pids},
                   {"network_received_bytes", OrNull(row.received_bytes)},
                   {"network_sent_bytes", OrNull(row.sent_bytes)},
                   {"block_read_bytes", OrNull(row.read_bytes)},
                   {"block_written_bytes", OrNull(row.written_bytes)}});
  }
  return all;
}

}  // namespace fermata::cri::cli
