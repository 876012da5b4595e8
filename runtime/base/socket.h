// SOCK_SEQPACKET unix sockets that carry messages with descriptors (unix(7), SCM_RIGHTS).
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata {

inline constexpr size_t kMaxMessageBytes = size_t{64} << 10;
inline constexpr size_t kMaxMessageFds = 64;

Result<std::pair<UniqueFd, UniqueFd>> SeqpacketPair();

// Sockets with a name in a directory that is given as descriptor: the path is short however deep the
// directory lies (sun_path holds 108 bytes).
Result<UniqueFd> SeqpacketListen(int directory, const std::string& name);
Result<UniqueFd> SeqpacketConnect(int directory, const std::string& name);

// One message, whole or not at all. `flags` as of sendmsg(2); EAGAIN is reported by saved_errno().
Result<> SendMessage(int socket, std::string_view data, std::span<const int> fds = {}, int flags = 0);

struct ReceivedMessage {
  std::string_view data;  // in the caller's buffer; empty: the peer has closed
  std::vector<UniqueFd> fds;
};
// `buffer` should have kMaxMessageBytes; a message cut short is an error.
Result<ReceivedMessage> ReceiveMessage(int socket, std::span<char> buffer, int flags = 0);

}  // namespace fermata
