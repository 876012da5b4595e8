// What `fermata top` shows. Pure; any thread.
#pragma once

#include <string>

#include "cri/api/fermata_v1.pb.h"
#include "cri/cli/listing.h"

namespace fermata::cri::cli {

// A row for each pod, with `containers` one for each of theirs below it. Bars instead of + and - where a terminal shows
// them.
Listing TopListing(const ::fermata::v1::PodStatsResponse& stats, bool containers, bool bars);

// "readiness" and its last runs, the oldest first.
std::string ProbeText(const ::fermata::v1::ProbeHistory& probe, bool bars);

// At most so many columns of a line that has no control codes; a cell for each character.
std::string Clipped(const std::string& line, size_t columns);

}  // namespace fermata::cri::cli
