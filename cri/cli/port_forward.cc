// `fermata port-forward`: listens on loopback, and passes each connection on into the pod.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <iostream>
#include <list>
#include <thread>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "cri/cli/output.h"
#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cri::cli {
namespace {

constexpr size_t kReadBytes = size_t{32} << 10;

struct PortPair {
  uint16_t local = 0, remote = 0;
};

Result<uint16_t> ParsePort(std::string_view text, int least) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < least || port > UINT16_MAX) {
    return Error::Make(ErrorCode::kInvalidArgument, "port \"", text, "\" is not from ", std::to_string(least),
                       " to 65535");
  }
  return static_cast<uint16_t>(port);
}

// "8080", "8000:80", ":80" and "0:80" (any local port).
Result<PortPair> ParsePair(const std::string& text) {
  const size_t colon = text.find(':');
  PortPair pair;
  const std::string local = text.substr(0, colon);
  ASSIGN_OR_RETURN(pair.remote, ParsePort(colon == std::string::npos ? local : text.substr(colon + 1), 1));
  if (local.empty()) return pair;
  ASSIGN_OR_RETURN(pair.local, ParsePort(local, 0));
  return pair;
}

struct Listener {
  UniqueFd socket;
  uint16_t remote = 0;
};

Result<uint16_t> Listen(int family, uint16_t port, uint16_t remote, std::vector<Listener>& listeners) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Error::Errno("socket");
  const int one = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_storage address{};
  socklen_t size = sizeof(sockaddr_in);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4->sin_port = htons(port);
  } else {
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    v6->sin6_addr = in6addr_loopback;
    v6->sin6_port = htons(port);
    size = sizeof(sockaddr_in6);
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
    return Error::Errno("listen on port ", std::to_string(port));
  }
  (void)::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const uint16_t bound = ntohs(family == AF_INET ? v4->sin_port : v6->sin6_port);
  std::cout << fmt::format("Forwarding from {}:{} -> {}\n", family == AF_INET ? "127.0.0.1" : "[::1]", bound, remote)
            << std::flush;
  listeners.push_back({std::move(fd), remote});
  return bound;
}

// One connection, until either side has ended it.
void Serve(const Client& client, const std::string& pod, uint16_t port, int socket) {
  grpc::ClientContext context;
  const auto stream = client.pods->PortForward(&context);
  fv1::ForwardPart part;
  part.mutable_start()->set_pod(pod);
  part.mutable_start()->set_port(port);
  (void)stream->Write(part);
  std::thread sender([&] {
    std::vector<char> buffer(kReadBytes);
    fv1::ForwardPart sent;
    for (;;) {
      const ssize_t count = ::read(socket, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      sent.set_data(buffer.data(), static_cast<size_t>(count));
      if (!stream->Write(sent)) return;
    }
    (void)stream->WritesDone();
  });
  while (stream->Read(&part)) {
    if (!part.error().empty()) std::cerr << "fermata: " << Printable(part.error()) << "\n";
    if (!part.data().empty() && !WriteAll(socket, part.data())) context.TryCancel();
  }
  (void)::shutdown(socket, SHUT_RDWR);  // wakes the sender
  sender.join();
  if (const auto done = ToResult(stream->Finish()); !done && done.error().code() != ErrorCode::kCancelled) {
    std::cerr << "fermata: " << Printable(done.error().message()) << "\n";
  }
}

// Accepts until a signal comes; connections that are open then end with the program.
void AcceptAll(const Client& client, const std::string& pod, const std::vector<Listener>& listeners, int signals) {
  for (;;) {
    std::vector<pollfd> wanted = {{signals, POLLIN, 0}};
    for (const Listener& listener : listeners) wanted.push_back({listener.socket.get(), POLLIN, 0});
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    if (wanted[0].revents != 0) return;
    for (size_t i = 0; i < listeners.size(); ++i) {
      if (wanted[i + 1].revents == 0) continue;
      UniqueFd accepted(::accept4(listeners[i].socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!accepted.valid()) continue;
      std::thread([&client, pod, port = listeners[i].remote, fd = accepted.Release()] {
        const UniqueFd socket(fd);
        Serve(client, pod, port, socket.get());
      }).detach();
    }
  }
}

}  // namespace

Result<int> PortForward(const Global& global, const std::string& pod, const std::vector<std::string>& ports) {
  sigset_t mask;
  ::sigemptyset(&mask);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaddset(&mask, signal);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
  std::vector<PortPair> pairs;
  for (const std::string& text : ports) {
    ASSIGN_OR_RETURN(pairs.emplace_back(), ParsePair(text));
  }
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  const UniqueFd signals(::signalfd(-1, &mask, SFD_CLOEXEC));
  std::vector<Listener> listeners;
  for (const PortPair& pair : pairs) {
    const bool any = pair.local == 0;
    ASSIGN_OR_RETURN(const uint16_t bound, Listen(AF_INET, any ? 0 : pair.local, pair.remote, listeners));
    (void)Listen(AF_INET6, bound, pair.remote, listeners);  // where there is IPv6, and the port is free there too
  }
  AcceptAll(client, pod, listeners, signals.get());
  std::cout << std::flush;
  ::_exit(0);  // threads of open connections are not waited for
}

}  // namespace fermata::cri::cli
