// A checksum of an unpacked layer, to find later what the disk has damaged. Against accidents, not against an attacker:
// who can write there is root. Keeps no state; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "runtime/base/result.h"

namespace fermata::overlay {

// Over names, modes, owners, times of files, link targets, extended attributes, hard links and contents of all below
// `name` in `directory`, in any order; never 0. Holes of sparse files are not read. kCancelled once `*cancelled`.
Result<uint64_t> ChecksumTree(int directory, const std::string& name, const std::atomic<bool>* cancelled = nullptr);

}  // namespace fermata::overlay
