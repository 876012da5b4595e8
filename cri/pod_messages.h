// What is known of pods as messages of fermata.v1. Pure; any thread.
#pragma once

#include "cri/api/fermata_v1.pb.h"
#include "sandbox/pods/manifest_directory.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_events.h"
#include "sandbox/pods/pod_status.h"
#include "sandbox/stats/collector.h"

namespace fermata::cri {

void FillStatus(const sandbox::pods::PodView& view, ::fermata::v1::PodStatus& status);
void FillEvent(const sandbox::pods::PodEvent& event, ::fermata::v1::PodEvent& out);

void FillFile(const sandbox::pods::ManifestDirectory::File& file, ::fermata::v1::ManifestFile& out);
void FillChange(const sandbox::pods::PodChange& change, const sandbox::SandboxSpec& pod, ::fermata::v1::PodChange& out);
void FillStats(const sandbox::pods::PodView& view, const sandbox::stats::PodSample& sample,
               const std::vector<sandbox::pods::ProbeView>& probes, ::fermata::v1::PodStats& out);

}  // namespace fermata::cri
