// Probes as the command line shows them. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "cri/api/fermata_v1.pb.h"
#include "cri/cli/listing.h"

namespace fermata::cri::cli {

Listing ProbeListing(const ::fermata::v1::ListProbesResponse& probes, int64_t now_ns);
// A row a run, those of all probes below each other.
Listing FlightListing(const ::fermata::v1::ProbeHistoryResponse& history);
// A line for each probe: what its failures are blamed on.
std::string VerdictLines(const ::fermata::v1::ProbeHistoryResponse& history);

// "850us", "3.2ms", "1.25s".
std::string DurationText(int64_t nanoseconds);

}  // namespace fermata::cri::cli
