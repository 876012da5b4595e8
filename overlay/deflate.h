// Compression of layers for registries: gzip, by ISA-L. Keeps no state; any thread.
#pragma once

#include "overlay/byte_source.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Writes `source` as one gzip member to `fd`, from where that stands. The same input gives the same bytes.
Result<> WriteGzip(ByteSource& source, int fd);

}  // namespace fermata::overlay
