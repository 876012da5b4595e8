// The protocol between daemon and monitor: one message a SOCK_SEQPACKET datagram.
//
//   MessageHeader | { uint16 tag, uint16 0, uint32 length, bytes }...
//
// Numbers are in the machine's byte order (both ends are on one kernel). Unknown tags are skipped, unknown
// requests answered with kErrorReply/ENOSYS, so that old monitors and new daemons understand each other:
// types and tags are only added. A request is answered by one reply with the same request id; messages
// with id 0 are events. tests/runtime/monitor_protocol_test.cc replays a transcript of version 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fermata::runtime {

inline constexpr uint32_t kProtocolVersion = 1;
// Bits of kFeatures in the answer to kHello.
inline constexpr uint64_t kFeatureSessions = 1;  // kAttach, kSockets, kSession, kTerminal

enum class MessageType : uint16_t {
  // Requests                // what they carry -> what the reply carries
  kHello = 1,       // version -> version, features
  kStartPause = 2,  // plan; fd: control group -> pid, start time
  kStartContainer =
      3,           // id, plan, stdin and terminal flags; fds: control group [, log file] -> pid, start time, started
  kExec = 4,       // exec id, container id, plan [; fd: session] -> pid; then kExecOutput..., kExecExited
  kCloseExec = 5,  // exec id: no more output wanted; what still runs goes on
  kKillExec = 6,   // exec id: kills its whole control group
  kSignal = 7,     // id, signal
  kKill = 8,       // id: kills the container's whole control group
  kReopenLog = 9,  // id; fd: the new log file
  kState = 10,     // -> pause pid and start time, one kTagContainer each container
  kForget = 11,    // id: the daemon has stored the exit; the monitor drops the container
  kStop = 12,      // kills all; answered when everything is reaped
  kQuit = 13,      // answered, then the monitor ends
  kFork = 14,      // to the zygote; fds: connection, listener, exit file, control group. Answered on that
                   // connection: pid; fd: its pidfd
  kAttach = 15,    // id, what is wanted, stdin-once flag; fd: session (session_packet.h)
  kSockets = 16,   // -> fds: a TCP socket for IPv4 and, where there is, one for IPv6, of the pod's network namespace
  // Replies and events
  kReply = 100,
  kErrorReply = 101,   // errno, text; step when a launch failed
  kExited = 102,       // id, exit code, oom, started, finished
  kPauseExited = 103,  // exit code
  kExecOutput = 104,   // exec id, stream, data
  kExecExited = 105,   // exec id, exit code, eof flag
  kExecEof = 106,      // exec id
};

enum class Tag : uint16_t {
  kVersion = 1,
  kFeatures = 2,
  kId = 3,
  kPlan = 4,
  kPlanInFd = 5,  // the plan is the last descriptor, a sealed memory file
  kErrno = 6,
  kStep = 7,
  kText = 8,
  kPid = 9,
  kStartTime = 10,  // clock ticks since boot: with the pid, identifies the process
  kStartedAt = 11,  // Unix nanoseconds
  kFinishedAt = 12,
  kExitCode = 13,  // 128+n for signal n
  kOomKilled = 14,
  kSignalNumber = 15,
  kStream = 16,  // 1 stdout, 2 stderr
  kData = 17,
  kExecId = 18,
  kContainer = 19,  // nested tags
  kRunning = 20,
  kEof = 21,
  kWantStdin = 22,
  kLogDropped = 23,  // bytes that could not be written
  kPidTarget = 24,   // id of the container whose PID namespace is joined instead of pause's
  kTerminal = 25,    // the process has a terminal, whose end its plan sends to the given descriptor
  kSession = 26,     // of kExec: the first descriptor is a session; then no event of the exec comes
  kStdinOnce = 27,   // the end of this attachment's input is the end of the process's
  kWantStdout = 28,
  kWantStderr = 29,
};

struct MessageHeader {
  uint32_t length = 0;
  uint16_t type = 0;
  uint16_t flags = 0;
  uint64_t request_id = 0;
};
static_assert(sizeof(MessageHeader) == 16);

class MessageWriter {
 public:
  MessageWriter(MessageType type, uint64_t request_id);
  MessageWriter& Add(Tag tag, std::string_view bytes);
  MessageWriter& Add(Tag tag, uint64_t number);
  // The finished message.
  [[nodiscard]] const std::string& Finish();
  // Only the tags, for nesting.
  [[nodiscard]] std::string_view tags() const { return std::string_view(data_).substr(sizeof(MessageHeader)); }

 private:
  std::string data_;
};

// Reads a message in place; the buffer has to outlive it.
class MessageReader {
 public:
  // nullopt: not a message (wrong length, a tag that runs over the end).
  static std::optional<MessageReader> Parse(std::string_view data);
  static std::optional<MessageReader> ParseTags(std::string_view tags);

  [[nodiscard]] MessageType type() const { return static_cast<MessageType>(header_.type); }
  [[nodiscard]] uint64_t request_id() const { return header_.request_id; }
  // The first such tag; empty or `otherwise` if absent.
  [[nodiscard]] std::string_view Bytes(Tag tag) const;
  [[nodiscard]] uint64_t Number(Tag tag, uint64_t otherwise = 0) const;
  [[nodiscard]] bool Has(Tag tag) const;
  // Calls `visit(bytes)` for every such tag.
  template <typename Visit>
  void ForEach(Tag tag, Visit&& visit) const {
    for (std::string_view rest = tags_; !rest.empty();) {
      const Item item = Next(rest);
      if (item.tag == tag) visit(item.bytes);
    }
  }

 private:
  struct Item {
    Tag tag;
    std::string_view bytes;
  };
  static Item Next(std::string_view& rest);
  static bool Valid(std::string_view tags);

  MessageHeader header_;
  std::string_view tags_;
};

}  // namespace fermata::runtime
