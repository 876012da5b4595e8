// Log records from the daemon to our standard output and error, with a prefix for each container.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "cri/cli/client.h"
#include "cri/cli/output.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

class LogPrinter {
 public:
  LogPrinter(PrefixedLines prefixes, bool timestamps) : prefixes_(std::move(prefixes)), timestamps_(timestamps) {}
  // Thread-safe: records of several pods come on several threads.
  void Print(const fv1::LogRecord& record);

 private:
  std::mutex mutex_;  // guards the two streams
  PrefixedLines prefixes_;
  bool timestamps_;
  std::map<std::pair<std::string, bool>, bool> continues_;  // container, stderr: the line goes on
};

// Until the pod is over. The daemon may be restarted meanwhile: then it goes on where it was.
Result<> FollowLogs(const Client& client, fv1::LogsRequest request, LogPrinter& printer);

}  // namespace fermata::cri::cli
