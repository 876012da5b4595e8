// The readers of metric_table.cc that are more than one field. Pure, any thread.
#pragma once

#include <vector>

#include "sandbox/stats/metric_table.h"

namespace fermata::sandbox::stats {

// Each adds the values of one metric, with its own labels.
void ReadFailures(const MetricInput& input, std::vector<MetricValue>& values);
void ReadDeviceUsage(const MetricInput& input, std::vector<MetricValue>& values);
void ReadHugepages(const MetricInput& input, std::vector<MetricValue>& values);
void ReadSoftLimits(const MetricInput& input, std::vector<MetricValue>& values);

// A field of an interface; one value for each.
template <TrafficCounters Interface::*Direction, uint64_t TrafficCounters::*Field>
void ReadTraffic(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.interfaces == nullptr) return;
  for (const Interface& interface : *input.interfaces)
    values.push_back({{interface.name}, interface.*Direction.*Field});
}

// A field of what a block device did; one value for each.
void AddDeviceIo(const MetricInput& input, uint64_t cgroups::IoStats::*field, std::vector<MetricValue>& values);
template <uint64_t cgroups::IoStats::*Field>
void ReadDeviceIo(const MetricInput& input, std::vector<MetricValue>& values) {
  AddDeviceIo(input, Field, values);
}

// A field of the writable layer; nothing until it has been counted.
template <uint64_t LayerUsage::*Field>
void ReadLayer(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.layer != nullptr) values.push_back({{input.layer->device}, input.layer->*Field});
}

// Time that tasks have waited, from the pressure files; nothing where the kernel has none.
template <std::optional<cgroups::Pressure> cgroups::Stats::*Resource, cgroups::PressureLine cgroups::Pressure::*Line>
void ReadPressure(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.group == nullptr) return;
  const std::optional<cgroups::Pressure>& pressure = input.group->stats.*Resource;
  constexpr uint64_t kMicroseconds = 1'000'000;
  if (pressure) values.push_back({{}, ((*pressure).*Line).total_us / kMicroseconds});
}

}  // namespace fermata::sandbox::stats
