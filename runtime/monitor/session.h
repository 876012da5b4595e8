// Session: the monitor's end of one attachment, or of one exec that streams. Owns the socket and what waits to be sent
// over it. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"
#include "runtime/monitor/session_packet.h"

namespace fermata::runtime {

struct Session {
  Session(UniqueFd s, uint64_t exec) : socket(std::move(s)), exec_id(exec) {}

  // At once, or when the peer has read what came before.
  void Send(PacketKind kind, std::string_view content);
  // Sends what waits, as far as the socket takes it.
  void Flush();
  [[nodiscard]] bool blocked() const { return !pending.empty(); }

  UniqueFd socket;
  uint64_t exec_id;       // 0: an attachment
  std::string container;  // of an attachment
  bool wants[3] = {};     // stdin, stdout, stderr
  bool stdin_once = false;
  bool ending = false;      // goes when nothing waits any more
  std::string input;        // that the process has not taken yet; while there is some, no more is read
  bool input_ends = false;  // after it
  std::deque<std::string> pending;
  size_t pending_bytes = 0;
};

// What an attachment may lie behind before it is cut off (design: a slow client never blocks the container).
inline constexpr size_t kMaxPendingBytes = size_t{1} << 20;

}  // namespace fermata::runtime
