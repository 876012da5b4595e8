// The few things that the monitor does to a v2 control group, by directory descriptor. Does not own the group.
// (The daemon's full-size class is cgroups/cgroup.h; the static monitor carries only this.)
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

// Kills everything in the group and below (cgroup.kill). A group that is gone is no error.
Result<> KillGroup(int directory);

// True while a process lives in the group or below (cgroup.events). `events`: an open cgroup.events.
bool GroupPopulated(int events);

// Opens cgroup.events; EPOLLPRI on it tells of changes.
Result<UniqueFd> OpenGroupEvents(int directory);

// True if the kernel's OOM killer ended a process of the group (memory.events). False without the controller.
bool GroupHadOomKill(int directory);

}  // namespace fermata::runtime
