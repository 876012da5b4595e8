// Conflicts of host ports between pods, before anything is made. Pure; any thread.
#pragma once

#include "sandbox/network/attachment.h"

namespace fermata::sandbox {

// kFailedPrecondition when `other` has a host port that `wanted` asks for; the text names it.
Result<> CheckHostPorts(const Attachment& wanted, const Attachment& other);

}  // namespace fermata::sandbox
