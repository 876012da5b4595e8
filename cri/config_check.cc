// Checks of a configuration as a whole.
#include <arpa/inet.h>
#include <sys/un.h>

#include <array>

#include "cri/config.h"

namespace fermata::cri {
namespace {

bool IsAddress(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

bool IsLoopback(const std::string& text) {
  in_addr four{};
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, text.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace

Result<> CheckConfig(const DaemonConfig& config) {
  std::string problems;
  const auto complain = [&](const std::string& what) { problems += (problems.empty() ? "" : "\n") + what; };
  for (const std::string& path : {config.data_dir, config.run_dir, config.SocketPath()}) {
    if (!path.starts_with('/')) complain(path + " is not an absolute path");
  }
  const size_t max_socket =
      sizeof(sockaddr_un::sun_path) - 1 - (config.UnreadySocketPath().size() - config.SocketPath().size());
  if (config.SocketPath().size() > max_socket) {
    complain("socket path " + config.SocketPath() + " is longer than " + std::to_string(max_socket) +
             " bytes; give a shorter socket or run_dir");
  }
  const StreamingConfig& streaming = config.streaming;
  if (!IsAddress(streaming.address)) complain("streaming.address " + streaming.address + " is no IP address");
  if (streaming.tls_cert.empty() != streaming.tls_key.empty()) {
    complain("streaming.tls_cert and streaming.tls_key go together only");
  }
  if (!streaming.client_ca.empty() && streaming.tls_cert.empty()) {
    complain("streaming.client_ca: certificates of clients can be asked for only with TLS; set streaming.tls_cert");
  }
  if (!config.metrics.address.empty() && !IsLoopback(config.metrics.address)) {
    complain("metrics.address " + config.metrics.address +
             " is no address of loopback (127.0.0.1, ::1), and the page has no password; put a proxy before it for "
             "other machines");
  }
  if (problems.empty()) return {};
  return Error(ErrorCode::kInvalidArgument, std::move(problems));
}

}  // namespace fermata::cri
