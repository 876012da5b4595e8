// When a container that has exited may be started again: kubelet's back-off, from what is recorded of the container,
// so that a new daemon comes to the same. Pure; any thread.
//
// Waits of 0, 10, 20, 40, 80, 160, 300, 300... seconds after the exit. A run of over 10 minutes forgets them. The
// first kill by a probe makes no entry, and later ones are measured from the end of the instance before; as kubelet.
#pragma once

#include "sandbox/types.h"

namespace fermata::sandbox::pods {

struct RestartDelay {
  int64_t due_ns = 0;         // since 1970; 0: at once
  int64_t next_delay_ns = 0;  // for the record of the next instance: what it waits for after its own exit
};
RestartDelay DelayOf(const ContainerRecord& exited);

}  // namespace fermata::sandbox::pods
