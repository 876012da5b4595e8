// One execution of a CNI plugin: confined in time, output and control group. Keeps no state; any thread, several at
// once; the calling thread waits and must hold no lock.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "overlay/unpack_process.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

using MakeHelperGroup = std::function<Result<std::unique_ptr<overlay::HelperGroup>>()>;

struct CniCall {
  std::string command;  // ADD, DEL, CHECK, STATUS, GC, VERSION
  std::string container_id, netns, interface, args;
  std::chrono::steady_clock::time_point deadline;
};

class CniPlugins {
 public:
  // `directories`: searched in order. `make_group` empty: plugins stay in our control group.
  explicit CniPlugins(std::vector<std::string> directories) : directories_(std::move(directories)) {}
  // Before the first Run. `cancelled`: a descriptor that is readable once all are to end at once, or -1.
  void Start(MakeHelperGroup make_group, int cancelled) {
    make_group_ = std::move(make_group);
    cancelled_ = cancelled;
  }

  // Gives what the plugin printed, at most 1 MiB. On return nothing of it runs: not the plugin, and where it has a
  // control group nothing that it left behind.
  [[nodiscard]] Result<std::string> Run(const std::string& type, const CniCall& call, const std::string& config) const;

 private:
  [[nodiscard]] Result<std::string> RunProgram(const std::string& type, const CniCall& call,
                                               const std::string& config) const;

  std::vector<std::string> directories_;
  MakeHelperGroup make_group_;
  int cancelled_ = -1;
};

}  // namespace fermata::sandbox
