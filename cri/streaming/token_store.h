// TokenStore: what Exec, Attach and PortForward were asked for, until the client comes for it over HTTP with the token
// of the answer. Owns the requests. Thread-safe; never blocks.
//
// A token is 128 random bits, good for one use, 60 seconds, and the method it was given for. They are looked up by
// their SHA-256, so that the time a look-up takes says nothing about the tokens that there are. Never logged.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::cri::streaming {

enum class Method : uint8_t { kExec, kAttach, kPortForward };
// "exec", "attach", "portforward": as in the URL.
std::string_view NameOf(Method method);

struct StreamRequest {
  Method method = Method::kExec;
  sandbox::ContainerId container;
  sandbox::SandboxId sandbox;        // of kPortForward
  std::vector<std::string> command;  // of kExec
  bool tty = false;
  bool want_stdin = false, want_stdout = false, want_stderr = false;
  std::vector<uint16_t> ports;  // of kPortForward, in their order; may be empty
};

class TokenStore {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kLifetime = std::chrono::seconds(60);
  static constexpr size_t kMaxOpen = 1000;

  explicit TokenStore(std::function<Clock::time_point()> now = Clock::now) : now_(std::move(now)) {}

  // kResourceExhausted when there are too many open ones.
  Result<std::string> Add(StreamRequest request);
  // The request; nullopt for a token that is unknown, used, too old, or of another method.
  std::optional<StreamRequest> Take(std::string_view token, Method method);

 private:
  using Key = std::array<unsigned char, 32>;
  struct Entry {
    StreamRequest request;
    Clock::time_point expires;
  };
  static Key KeyOf(std::string_view token);
  void DropExpired();

  std::function<Clock::time_point()> now_;
  std::mutex mutex_;  // guards entries_
  std::map<Key, Entry> entries_;
};

}  // namespace fermata::cri::streaming
