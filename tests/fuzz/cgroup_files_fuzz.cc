// The files of a control group, each with the input as its text: every parser takes any text. Numbers are read as they
// are printed, and the working set is never more than the usage.
#include "cgroups/stats.h"
#include "tests/fuzz/scratch.h"

namespace fermata::cgroups {
namespace {

void CheckParsers(std::string_view text, uint64_t usage) {
  (void)ParseEvents(text);
  (void)ParseStatm(text, 4096);
  const auto number = ParseNumber(text);
  if (number) fuzz::Check(ParseNumber(std::to_string(*number) + "\n") == number, "another number");
  const MemoryStats memory = ParseMemoryStat(text, usage);
  fuzz::Check(memory.usage_bytes == usage && memory.working_set_bytes <= usage, "more than is used");
}

// The usage is in the directory of a controller that is there; without it the memory is estimated.
void CheckDirectory(std::string_view text, bool has_usage, const fuzz::Scratch& scratch) {
  for (const char* name : {"cpu.stat", "memory.stat", "memory.max", "memory.swap.current", "pids.current", "io.stat",
                           "cpu.pressure", "memory.pressure", "io.pressure", "cgroup.procs"}) {
    fuzz::Check(WriteFileAtomic(scratch.in(), name, text).has_value(), "write");
  }
  (void)::unlinkat(scratch.in(), "memory.current", 0);
  if (has_usage) fuzz::Check(WriteFileAtomic(scratch.in(), "memory.current", "4096\n").has_value(), "write");
  const auto stats = Read(Cgroup::FromDirectory(UniqueFd(::fcntl(scratch.in(), F_DUPFD_CLOEXEC, 0))));
  // Without the usage the ids in cgroup.procs are read, which may be none.
  fuzz::Check(stats.has_value() || !has_usage, "no statistics");
  if (stats) fuzz::Check(stats->memory.has_value() && stats->memory_estimated != has_usage, "memory");
}

}  // namespace
}  // namespace fermata::cgroups

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  static const fuzz::Scratch scratch;
  const std::string_view text = fuzz::TextOf(data, size);
  cgroups::CheckParsers(text, fuzz::Bytes(data, size).Take<uint64_t>());
  cgroups::CheckDirectory(text, size % 4 != 0, scratch);
  return 0;
}
