// What was measured, and what has happened, as the CRI's messages; pure, no state, any thread.
//
// What is not known is left out: a message or a value that is absent means that the kernel does not have it. Times are
// Unix nanoseconds, sizes bytes, waiting times of the pressure messages nanoseconds.
#pragma once

#include <string>

#include "cri/api/runtime_v1.pb.h"
#include "sandbox/events/event.h"
#include "sandbox/stats/collector.h"
#include "sandbox/stats/metric_table.h"

namespace fermata::cri {

namespace v1 = ::runtime::v1;

// `mountpoint` as ImageFsInfo has it: clients compare them.
v1::ContainerStats ToContainerStats(const sandbox::stats::ContainerSample& sample, const std::string& mountpoint);
v1::PodSandboxStats ToPodSandboxStats(const sandbox::stats::PodSample& sample, const std::string& mountpoint);

v1::MetricDescriptor ToMetricDescriptor(const sandbox::stats::MetricRow& row);
v1::Metric ToMetric(const sandbox::stats::Metric& metric);

v1::ContainerEventResponse ToContainerEvent(const sandbox::Event& event);

// As those of convert.h.
bool Matches(const v1::ContainerStatsFilter& filter, const sandbox::ContainerRecord& record);
bool Matches(const v1::PodSandboxStatsFilter& filter, const sandbox::SandboxRecord& record);

}  // namespace fermata::cri
