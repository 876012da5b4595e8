// What goes over the socket of a session, between the daemon and a process's standard streams in the monitor: one
// packet a SOCK_SEQPACKET datagram, a byte of kind and then its content. Numbers are only added; unknown kinds are
// passed over. The end of the socket is the end of the session, for both sides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fermata::runtime {

enum class PacketKind : uint8_t {
  // To the process
  kInput = 1,
  kInputEnd = 2,
  kResize = 3,  // uint16 columns, uint16 rows
  // From it
  kOutput = 16,
  kErrorOutput = 17,
  kExit = 18,  // uint32 exit code; output of what it left behind may follow
};

inline constexpr size_t kMaxPacketContent = size_t{32} << 10;

}  // namespace fermata::runtime
