#include "runtime/base/random_id.h"

#include <sys/random.h>

#include <array>
#include <cstdint>

namespace fermata {

Result<std::string> RandomId() {
  std::array<uint8_t, 32> bytes{};
  // Up to 256 bytes arrive whole once the pool is initialised (getrandom(2)).
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Error::Errno("getrandom");
  std::string id;
  id.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    id.push_back("0123456789abcdef"[byte >> 4]);
    id.push_back("0123456789abcdef"[byte & 15]);
  }
  return id;
}

}  // namespace fermata
