// The page for Prometheus: what was counted (runtime/base/metrics.h), and what is there at the moment of the question.
// Thread-safe; reads /proc and control groups, so not for a thread that must not wait.
#pragma once

#include <string>

#include "cri/streaming/server.h"
#include "runtime/base/metrics.h"
#include "sandbox/audit.h"
#include "sandbox/engine.h"
#include "sandbox/network/pod_network.h"

namespace fermata::cri {

// What is looked at; all outlive the page.
struct MetricsSources {
  sandbox::Engine& engine;
  const sandbox::PodNetwork& network;
  const streaming::Server& streams;
};

sandbox::AuditedNetwork AuditedNetworkOf(const sandbox::PodNetwork& network);

// Gauges of this moment, each with its name, help and labels.
std::vector<metrics::FamilyValue> MomentaryMetrics(const MetricsSources& sources);

// In the text format of Prometheus, version 0.0.4.
std::string MetricsText(const std::vector<metrics::FamilyValue>& families);

std::string MetricsPage(const MetricsSources& sources);

}  // namespace fermata::cri
