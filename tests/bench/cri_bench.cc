// cri_bench: measures a container runtime through its CRI socket. Starts N pods of one container, looks at the memory
// that the runtime's own processes take for them, runs commands in them, lists them, and removes them again.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <iostream>
#include <mutex>
#include <regex>
#include <thread>

#include "runtime/base/json.h"
#include "tests/bench/cri_client.h"
#include "tests/bench/memory.h"
#include "tests/bench/timings.h"

namespace fermata::bench {
namespace {

constexpr std::array kRows = {"RunPodSandbox",      "CreateContainer",     "StartContainer",        "pod",
                              "ExecSync",           "ContainerStatus",     "ListContainers",        "ListPodSandbox",
                              "ListContainerStats", "ListPodSandboxStats", "ListPodSandboxMetrics", "StopContainer",
                              "StopPodSandbox",     "RemoveContainer",     "RemovePodSandbox"};

struct Options {
  std::string endpoint;
  int pods = 20;
  int parallel = 1;
  int execs = 100;
  int warm_up = 2;
  int lists = 20;
  bool keep = false;
  bool json = false;
  bool unconfined = false;
  int daemon_pid = 0;
  std::string helpers = "fermata-monitor|fermata-pause";
  PodOptions pod;
};

struct Report {
  std::string runtime;
  Timings timings;
  double pods_per_second = 0;
  Memory empty, full;
};

// Calls `work` with 0 .. count - 1 on so many threads; the first failure ends it and is thrown.
Timings InParallel(int threads, int count, const std::function<void(int, Timings&)>& work) {
  std::atomic<int> next = 0;
  std::mutex mutex;  // guards the two below
  Timings all;
  std::exception_ptr failure;
  const auto loop = [&] {
    Timings mine;
    try {
      for (int i = next++; i < count; i = next++) work(i, mine);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    all.Merge(mine);
  };
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) pool.emplace_back(loop);
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
  return all;
}

// Memory settles for a moment after the last start: allocators give back, shims end their set-up.
Memory SettledMemory(const Options& options) {
  if (options.daemon_pid <= 0) return {};
  std::this_thread::sleep_for(std::chrono::seconds(1));
  return MeasureMemory(options.daemon_pid, std::regex(options.helpers));
}

void WarmUp(CriClient& client, const Options& options) {
  Timings ignored;
  for (int i = 0; i < options.warm_up; ++i) {
    const Pod pod = client.StartPod(i, ignored);
    client.Exec(pod, ignored);
    client.RemovePod(pod, ignored);
  }
}

Report Measure(CriClient& client, const Options& options) {
  Report report;
  report.runtime = client.RuntimeName();
  client.CheckImage();
  WarmUp(client, options);
  report.empty = SettledMemory(options);

  std::vector<Pod> pods(options.pods);
  const auto begin = Clock::now();
  report.timings.Merge(InParallel(options.parallel, options.pods,
                                  [&](int i, Timings& timings) { pods[i] = client.StartPod(i, timings); }));
  report.pods_per_second = options.pods / std::chrono::duration<double>(Clock::now() - begin).count();
  report.full = SettledMemory(options);

  report.timings.Merge(InParallel(options.parallel, options.execs,
                                  [&](int i, Timings& timings) { client.Exec(pods[i % options.pods], timings); }));
  report.timings.Merge(
      InParallel(options.parallel, options.pods, [&](int i, Timings& timings) { client.Look(pods[i], timings); }));
  report.timings.Merge(InParallel(1, options.lists, [&](int, Timings& timings) { client.List(timings); }));
  if (!options.keep) {
    report.timings.Merge(InParallel(options.parallel, options.pods,
                                    [&](int i, Timings& timings) { client.RemovePod(pods[i], timings); }));
  }
  return report;
}

double PerPod(uint64_t full_kb, uint64_t empty_kb, int pods) {
  return (static_cast<double>(full_kb) - static_cast<double>(empty_kb)) / 1024 / pods;
}

void PrintTable(const Report& report, const Options& options) {
  std::cout << fmt::format("{}: {} pods, {} at once, {} network\n", report.runtime, options.pods, options.parallel,
                           options.pod.host_network ? "host" : "pod");
  std::cout << fmt::format("{:<22}{:>7}{:>10}{:>10}{:>10}  ms\n", "", "count", "p50", "p90", "p99");
  for (const char* row : kRows) {
    if (report.timings.Count(row) == 0) continue;
    std::cout << fmt::format("{:<22}{:>7}{:>10.2f}{:>10.2f}{:>10.2f}\n", row, report.timings.Count(row),
                             report.timings.Percentile(row, 50), report.timings.Percentile(row, 90),
                             report.timings.Percentile(row, 99));
  }
  std::cout << fmt::format("{:.1f} pods a second\n", report.pods_per_second);
  if (options.daemon_pid <= 0) return;
  std::cout << fmt::format("memory a pod: {:.3f} MB PSS, {:.3f} MB RSS ({} processes, {} without pods)\n",
                           PerPod(report.full.pss_kb, report.empty.pss_kb, options.pods),
                           PerPod(report.full.rss_kb, report.empty.rss_kb, options.pods), report.full.processes,
                           report.empty.processes);
}

void PrintJson(const Report& report, const Options& options) {
  nlohmann::ordered_json out;
  out["runtime"] = report.runtime;
  out["pods"] = options.pods;
  out["parallel"] = options.parallel;
  out["host_network"] = options.pod.host_network;
  for (const char* row : kRows) {
    if (report.timings.Count(row) == 0) continue;
    out["ms"][row] = {{"count", report.timings.Count(row)},
                      {"p50", report.timings.Percentile(row, 50)},
                      {"p90", report.timings.Percentile(row, 90)},
                      {"p99", report.timings.Percentile(row, 99)}};
  }
  out["pods_per_second"] = report.pods_per_second;
  if (options.daemon_pid > 0) {
    out["memory"] = {{"pss_mb_per_pod", PerPod(report.full.pss_kb, report.empty.pss_kb, options.pods)},
                     {"rss_mb_per_pod", PerPod(report.full.rss_kb, report.empty.rss_kb, options.pods)},
                     {"empty_pss_mb", static_cast<double>(report.empty.pss_kb) / 1024},
                     {"empty_processes", report.empty.processes},
                     {"full_processes", report.full.processes}};
  }
  std::cout << out.dump(2) << "\n";
}

void AddOptions(CLI::App& app, Options& options) {
  app.add_option("-e,--endpoint", options.endpoint, "the CRI socket: PATH or unix:PATH")->required();
  app.add_option("-n,--pods", options.pods, "pods")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("-p,--parallel", options.parallel, "at once")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--exec", options.execs, "ExecSync of true, so many altogether")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--lists", options.lists, "lists of statistics and metrics, so many of each, one at a time")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--warm-up", options.warm_up, "pods that do not count, first")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--image", options.pod.image, "an image with /bin/sleep and /bin/true")->required();
  app.add_option("--handler", options.pod.handler, "runtime handler");
  app.add_option("--cgroup-parent", options.pod.cgroup_parent, "as kubelet gives it");
  app.add_option("--log-dir", options.pod.log_directory,
                 "write the containers' logs there (default: none are written)");
  app.add_flag("--host-network", options.pod.host_network, "on the host's network");
  app.add_flag("--unconfined", options.unconfined, "without the runtime's default seccomp profile");
  app.add_flag("--keep", options.keep, "leave the pods running");
  app.add_option("--daemon-pid", options.daemon_pid, "measure memory: the daemon");
  app.add_option("--helpers", options.helpers, "and its helpers: an expression for their names")->capture_default_str();
  app.add_flag("--json", options.json, "print JSON");
}

}  // namespace
}  // namespace fermata::bench

int main(int argc, char** argv) {
  using namespace fermata::bench;  // all of main is ours
  CLI::App app("cri_bench - measures a container runtime through its CRI socket");
  Options options;
  AddOptions(app, options);
  CLI11_PARSE(app, argc, argv);
  options.pod.default_seccomp = !options.unconfined;
  options.pod.prefix = "bench-" + std::to_string(::getpid());
  CriClient client(options.endpoint, options.pod);
  try {
    const Report report = Measure(client, options);
    options.json ? PrintJson(report, options) : PrintTable(report, options);
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << "cri_bench: " << failure.what() << "\n";
    client.RemoveAll();
    return 1;
  }
}
