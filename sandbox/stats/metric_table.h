// cAdvisor's metrics as the CRI hands them out: one table of names, help texts, labels and readers. Pure, any thread.
//
// Values are whole numbers, as the CRI's message has them: seconds are cut off. A name without a value for something is
// left out there, besides those that cAdvisor always gives, which are 0 then (a machine without memory controller).
// Source: names and labels of cAdvisor's Prometheus metrics as kubelet serves them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sandbox/stats/collector.h"

namespace fermata::sandbox::stats {

// What a reader may look at. `container` nullptr: the pod as a whole; then `layer` and `processes` are nullptr too.
struct MetricInput {
  const SandboxRecord* sandbox = nullptr;
  const ContainerRecord* container = nullptr;
  const GroupSample* group = nullptr;
  const cgroups::Details* details = nullptr;
  const ProcessCounts* processes = nullptr;
  const LayerUsage* layer = nullptr;                   // nullptr: not counted yet
  const std::vector<Interface>* interfaces = nullptr;  // of the pod as a whole
  int64_t now_ns = 0;                                  // since 1970
};

struct MetricValue {
  std::vector<std::string> labels;  // for the row's own keys, in their order
  uint64_t value = 0;
};
using MetricReader = void (*)(const MetricInput& input, std::vector<MetricValue>& values);

enum class MetricKind : uint8_t { kCounter, kGauge };
enum class MetricScope : uint8_t { kContainer, kPod, kBoth };

struct MetricRow {
  const char* name;
  const char* help;
  std::span<const char* const> own_keys;  // besides MetricKeys()
  MetricKind kind;
  MetricScope scope;
  MetricReader read;
};

// The labels that every metric has, first. Those that kubelet's own exporter adds are among them.
std::span<const char* const> MetricKeys();
std::span<const MetricRow> MetricTable();

struct Metric {
  const MetricRow* row = nullptr;
  std::vector<std::string> labels;  // MetricKeys(), then the row's own
  uint64_t value = 0;
};
std::vector<Metric> ReadMetrics(const MetricInput& input);

}  // namespace fermata::sandbox::stats
