// Pods in kubectl's words. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "cri/api/fermata_v1.pb.h"

namespace fermata::cri::cli {

// "1/2": of the containers and sidecars.
std::string ReadyText(const ::fermata::v1::PodStatus& pod);
// The phase, or what a look at the containers says more exactly: Init:0/1, CrashLoopBackOff, Completed, OOMKilled...
std::string StatusText(const ::fermata::v1::PodStatus& pod);
// "2 (5m ago)".
std::string RestartsText(const ::fermata::v1::PodStatus& pod, int64_t now_ns);

}  // namespace fermata::cri::cli
