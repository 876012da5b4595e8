// Lists of CPUs: the mask written as a list gives the mask again, and no CPU is above the largest.
#include "runtime/launch/scheduling.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

// "0,1,5", one by one.
std::string ListOf(const std::vector<uint64_t>& mask) {
  std::string list;
  for (size_t cpu = 0; cpu < mask.size() * 64; ++cpu) {
    if ((mask[cpu / 64] >> cpu % 64 & 1) == 0) continue;
    list += (list.empty() ? "" : ",") + std::to_string(cpu);
  }
  return list;
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const auto mask = runtime::ParseCpuList(fuzz::TextOf(data, size));
  if (!mask) {
    fuzz::CheckError(mask.error());
    return 0;
  }
  fuzz::Check(!mask->empty() && mask->size() <= 8192 / 64 && mask->back() != 0, "a mask of another size");
  const auto again = runtime::ParseCpuList(runtime::ListOf(*mask));
  fuzz::Check(again && *again == *mask, "another mask: " + runtime::ListOf(*mask));
  return 0;
}
