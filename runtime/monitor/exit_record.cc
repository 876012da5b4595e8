#include "runtime/monitor/exit_record.h"

#include <algorithm>
#include <cstring>

namespace fermata::runtime {
namespace {

// CRC-32 (IEEE 802.3), bit by bit: a hundred bytes once in a container's life, and no table in the monitor.
uint32_t Crc32(const unsigned char* data, size_t size) {
  uint32_t crc = ~0U;
  for (size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320U & (0U - (crc & 1)));
  }
  return ~crc;
}

uint32_t ChecksumOf(const ExitRecord& record) {
  return Crc32(reinterpret_cast<const unsigned char*>(&record), offsetof(ExitRecord, checksum));
}

}  // namespace

ExitRecord MakeExitRecord(std::string_view container_id, int exit_code, bool oom_killed, int64_t started_at_ns,
                          int64_t finished_at_ns) {
  ExitRecord record;
  record.exit_code = exit_code;
  record.started_at_ns = started_at_ns;
  record.finished_at_ns = finished_at_ns;
  record.oom_killed = oom_killed ? 1 : 0;
  container_id.copy(record.container_id.data(), record.container_id.size());
  record.checksum = ChecksumOf(record);
  return record;
}

std::vector<ExitRecord> ParseExitRecords(std::string_view data) {
  std::vector<ExitRecord> records;
  for (; data.size() >= sizeof(ExitRecord); data.remove_prefix(sizeof(ExitRecord))) {
    ExitRecord record;
    std::memcpy(&record, data.data(), sizeof record);
    if (record.magic == ExitRecord{}.magic && record.checksum == ChecksumOf(record)) records.push_back(record);
  }
  return records;
}

}  // namespace fermata::runtime
