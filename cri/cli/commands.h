// The commands of `fermata`, one function each: connect, call, print. They give the exit status; errors are printed by
// main.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cri::cli {

struct Global {
  std::string socket;
  bool json = false;   // also true where `output` is json
  std::string output;  // json, yaml, wide, name; empty: a table
  std::string format;  // a template (row_template.h) instead
};

struct RunOptions {
  std::string file;
  bool detach = false;
  bool keep = false;  // do not remove the pods when they are over
  bool allow_ignored = false;
  bool dry_run = false;
  bool replace = false;         // a pod of the name that is there
  std::string wait;             // ready, completed; empty: for nothing. Of what is left running
  int64_t timeout_seconds = 0;  // of the wait; 0: none
};
// Makes pods be as their manifests, and tells what was done.
Result<int> Apply(const Global& global, const RunOptions& options);
Result<int> Run(const Global& global, const RunOptions& options);
// Reads the manifest itself, without a daemon.
Result<int> Validate(const Global& global, const RunOptions& options);

Result<int> ListPods(const Global& global, bool all);
Result<int> ListContainers(const Global& global, bool all);

struct LogsOptions {
  std::string pod, container;
  bool follow = false;
  bool timestamps = false;
  int64_t tail = 0;
  int64_t since_seconds = 0;  // 0: all
  bool previous = false;      // of the attempt before
};
Result<int> Logs(const Global& global, const LogsOptions& options);

// All that is known of each pod, as `kubectl describe` shows it.
Result<int> Describe(const Global& global, const std::vector<std::string>& pods);
Result<int> Restart(const Global& global, const std::vector<std::string>& pods, std::optional<int64_t> grace_seconds);

struct TopOptions {
  std::string pod;  // empty: all that run
  bool no_stream = false;
};
// On a terminal until a signal comes, else once.
Result<int> Top(const Global& global, const TopOptions& options);

struct EventsOptions {
  std::string pod;  // empty: all
  bool follow = false;
};
Result<int> Events(const Global& global, const EventsOptions& options);

struct ExecOptions {
  std::string pod, container;
  std::vector<std::string> command;
  int64_t timeout_seconds = 0;
};
// The command's own exit status.
Result<int> Exec(const Global& global, const ExecOptions& options);

struct StreamOptions {
  std::string pod, container;
  std::vector<std::string> command;  // of exec
  bool want_stdin = false;
  bool tty = false;
};
// With our streams, on a terminal if wanted; the command's own exit status.
Result<int> ExecStream(const Global& global, const StreamOptions& options);
// To the streams of the container itself.
Result<int> Attach(const Global& global, const StreamOptions& options);
// Ports as LOCAL:REMOTE or one number for both; until a signal comes.
Result<int> PortForward(const Global& global, const std::string& pod, const std::vector<std::string>& ports);

Result<int> Stop(const Global& global, const std::vector<std::string>& pods, std::optional<int64_t> grace_seconds);
Result<int> Remove(const Global& global, const std::vector<std::string>& pods, bool force);

Result<int> Info(const Global& global);
Result<int> Version(const Global& global);

}  // namespace fermata::cri::cli
