// LogFollower: the log records of a pod's containers in the order of their times, of what is there and, when
// following, of what comes, through restarts and rotation by name. Blocks on inotify and on changes, never polls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/pods/change_notifier.h"
#include "sandbox/pods/pod_engine.h"

namespace fermata::sandbox::pods {

struct LogLine {
  std::string container;
  int64_t time_ns = 0;
  bool is_stderr = false;
  bool partial = false;
  std::string content;
  uint32_t attempt = 0;
  int64_t end_offset = 0;      // in the attempt's file, after this record
  bool position_only = false;  // not a record: reading of this attempt begins at end_offset
};

// One record of a CRI log, without its newline. False: not a record.
bool ParseLogLine(std::string_view text, LogLine& line);

struct LogPosition {
  uint32_t attempt = 0;
  int64_t offset = 0;
};

struct LogOptions {
  std::string container;  // empty: all
  bool follow = false;
  int64_t tail_lines = 0;  // of each container; 0: all, negative: none of what is there
  int64_t since_ns = 0;
  bool previous = false;                      // of the attempt before the newest one
  std::map<std::string, LogPosition> resume;  // by container: reading goes on there
};

class LogFollower {
 public:
  using Sink = std::function<bool(const LogLine&)>;  // false: nobody wants more

  LogFollower(PodEngine& pods, SandboxId id, LogOptions options)
      : pods_(pods), id_(std::move(id)), options_(std::move(options)) {}

  // Returns at the end of the logs, or, following, when the pod is over or gone. `listener` is woken to end early
  // together with `ended` being true.
  Result<> Run(const ChangeNotifier::Listener& listener, const std::function<bool()>& ended, const Sink& sink);

 private:
  struct Source {
    uint32_t attempt = 0;
    bool open = false;
    int64_t offset = 0;  // where the record begins that is read next
    UniqueFd file;
    std::string rest;  // of a record not complete yet
  };

  void Update(const PodView& view, std::vector<LogLine>& lines);
  void Read(const std::string& container, Source& source, std::vector<LogLine>& lines) const;
  // At the beginning of the file, or where `position` or the options say.
  void Open(Source& source, const std::string& path, const LogPosition* position);

  PodEngine& pods_;
  SandboxId id_;
  LogOptions options_;
  bool first_ = true;  // tail_lines counts for what is there at the beginning only
  UniqueFd inotify_;
  std::map<std::string, Source> sources_;
};

}  // namespace fermata::sandbox::pods
