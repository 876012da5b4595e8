// TransferLoop: short HTTP requests and TCP connections, any number at once on one thread. Owns the thread and the
// sockets. Thread-safe; callbacks come on the loop's thread and must not wait.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace fermata::sandbox::probe {

struct Transfer {
  std::string url;                   // http or https
  std::vector<std::string> headers;  // as libcurl takes them: "Name: value", "Name;" (empty), "Name:" (none)
  bool connect_only = false;
  // A socket to connect with, of another network namespace say; not valid: one is made.
  std::shared_ptr<UniqueFd> socket;
  std::chrono::steady_clock::time_point deadline;
};

struct TransferEnd {
  enum class Kind : uint8_t { kDone, kNoAnswer, kBodyBroken } kind = Kind::kNoAnswer;
  std::string error;  // unless kDone
  long status = 0;
  std::string location;  // absolute, of a redirection
  std::string body;      // the first kMaxBodyBytes
  UniqueFd connection;   // connect_only
};
inline constexpr size_t kMaxBodyBytes = size_t{10} << 10;

class TransferLoop {
 public:
  using Done = std::function<void(TransferEnd)>;

  TransferLoop();
  ~TransferLoop();  // what is under way ends with kNoAnswer
  TransferLoop(const TransferLoop&) = delete;
  TransferLoop& operator=(const TransferLoop&) = delete;

  void Start(Transfer transfer, Done done);

 private:
  class Core;
  std::unique_ptr<Core> core_;
  std::thread thread_;
};

}  // namespace fermata::sandbox::probe
