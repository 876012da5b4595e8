// Confine: takes from the calling process, which is fermata-unpack and has one thread, all that unpacking does not
// need, for good. To be called before a byte of the layer is read.
//
// Afterwards: own mount, network, IPC and UTS namespaces; the layer directory is the root of the only mount; no path
// can be opened but below a descriptor that is held; no_new_privs, seven capabilities, an allow-list of system calls
// (others fail with EPERM); limits on memory, CPU time, descriptors and file size. The process dies by its control
// group or by a signal from outside, never by a death signal, which would follow the daemon's thread.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

inline constexpr uint64_t kUnpackerMemoryBytes = uint64_t{512} << 20;
inline constexpr uint64_t kUnpackerCpuSeconds = 600;

// `layer_dir` is closed: it would lead back to the host by "..". Gives the same directory as the new root. Any failure
// is final; the process is to end.
Result<UniqueFd> Confine(UniqueFd layer_dir, uint64_t max_file_bytes);

}  // namespace fermata::overlay
