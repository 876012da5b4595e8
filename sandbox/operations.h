// OperationTable: makes retries of a call that was cut off join it instead of running it twice.
//
// kubelet and crictl give up after a deadline and ask again. A call with the same name and the same
// configuration as a running one waits for that one's result; if the first caller had left before the
// end, the result waits 60 s for the retry. A different configuration under a running name is refused. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/base/result.h"

namespace fermata::sandbox {

class OperationTable {
 public:
  using Body = std::function<Result<std::string>()>;
  // True once the client that made the call has gone away.
  using CallerGone = std::function<bool()>;

  // `name` is what must be unique, `configuration` what must be equal to join; `what` is for texts.
  Result<std::string> Run(const std::string& what, const std::string& name, const std::string& configuration,
                          const Body& body, const CallerGone& caller_gone);

 private:
  struct Operation {
    std::string configuration;
    bool done = false;
    bool unclaimed = false;  // done, and nobody was there to take the result
    Result<std::string> result = std::string();
    std::chrono::steady_clock::time_point finished;
  };

  Result<std::string> Join(std::unique_lock<std::mutex>& lock, const std::string& what, const std::string& name,
                           const std::string& configuration, const std::shared_ptr<Operation>& operation);
  void DropExpired();

  std::mutex mutex_;
  std::condition_variable finished_;
  std::map<std::string, std::shared_ptr<Operation>> operations_;
};

}  // namespace fermata::sandbox
