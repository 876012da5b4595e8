// Events of pods as the command line shows them. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "cri/api/fermata_v1.pb.h"

namespace fermata::cri::cli {

// "5m", or "5m (x3 over 20m)" where it has happened more than once.
std::string LastSeen(const ::fermata::v1::PodEvent& event, int64_t now_ns);
// LAST SEEN, TYPE, REASON, OBJECT, MESSAGE; printable.
std::vector<std::string> EventRow(const ::fermata::v1::PodEvent& event, int64_t now_ns);

}  // namespace fermata::cri::cli
