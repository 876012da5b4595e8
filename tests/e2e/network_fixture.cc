#include "tests/e2e/network_fixture.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

namespace fermata::testing {
namespace {

constexpr const char* kIp = "/usr/sbin/ip";

std::string NetnsArgument(pid_t pid) { return "--net=/proc/" + std::to_string(pid) + "/ns/net"; }

}  // namespace

::testing::AssertionResult EnterOwnNetwork() {
  if (::unshare(CLONE_NEWNET) != 0) return ::testing::AssertionFailure() << "unshare: " << std::strerror(errno);
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return ::testing::AssertionFailure() << "lo up";
  return ::testing::AssertionSuccess();
}

std::set<std::string> Interfaces() {
  std::set<std::string> names;
  struct if_nameindex* all = ::if_nameindex();
  for (auto* entry = all; entry != nullptr && entry->if_index != 0; ++entry) names.insert(entry->if_name);
  if (all != nullptr) ::if_freenameindex(all);
  return names;
}

std::string HttpGet(const std::string& address, int port, const std::string& path) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return "error: address";
  const UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  timeval limit{5, 0};
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int connected = ::connect(socket.get(), found->ai_addr, found->ai_addrlen);
  const int error = errno;
  ::freeaddrinfo(found);
  if (connected != 0) return std::string("error: connect: ") + std::strerror(error);
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  (void)!::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::recv(socket.get(), buffer.data(), buffer.size(), 0)) > 0;) {
    answer.append(buffer.data(), static_cast<size_t>(count));
  }
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  return answer.substr(answer.rfind('\n') + 1);
}

std::string Output(const std::string& directory, const std::vector<std::string>& arguments) {
  Program program(directory, arguments);
  const ProgramResult result = program.Wait();
  std::string line;
  for (const std::string& argument : arguments) line += argument + " ";
  EXPECT_EQ(result.code, 0) << line << "\n" << result.out << result.err;
  return result.out;
}

AddressServer::AddressServer(const std::string& address) {
  const bool six = address.find(':') != std::string::npos;
  sockaddr_storage where{};
  where.ss_family = six ? AF_INET6 : AF_INET;
  void* place = six ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&where)->sin6_addr)
                    : static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&where)->sin_addr);
  EXPECT_EQ(::inet_pton(where.ss_family, address.c_str(), place), 1);
  socket_ = ::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&where), six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)), 0)
      << address << ": " << std::strerror(errno);
  EXPECT_EQ(::listen(socket_, 8), 0);
  socklen_t length = sizeof where;
  (void)::getsockname(socket_, reinterpret_cast<sockaddr*>(&where), &length);
  port_ = ntohs(six ? reinterpret_cast<sockaddr_in6*>(&where)->sin6_port
                    : reinterpret_cast<sockaddr_in*>(&where)->sin_port);
  thread_ = std::thread([this] {
    for (;;) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      const UniqueFd connection(::accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
      if (!connection.valid()) return;
      std::array<char, NI_MAXHOST> host{};
      (void)::getnameinfo(reinterpret_cast<sockaddr*>(&peer), size, host.data(), host.size(), nullptr, 0,
                          NI_NUMERICHOST);
      const std::string text = std::string(host.data()) + "\n";
      (void)!::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  });
}

AddressServer::~AddressServer() {
  (void)::shutdown(socket_, SHUT_RDWR);
  thread_.join();
  (void)::close(socket_);
}

RemoteHost::RemoteHost(const std::string& directory)
    : directory_(directory), holder_(directory, {"/usr/bin/unshare", "--net", "sleep", "1000"}) {
  std::error_code ignored;
  EXPECT_TRUE(WaitUntil([&] {
    const auto its = std::filesystem::read_symlink("/proc/" + std::to_string(holder_.pid()) + "/ns/net", ignored);
    return !its.empty() && its != std::filesystem::read_symlink("/proc/thread-self/ns/net");
  }));
  const std::string pid = std::to_string(holder_.pid());
  (void)Output(directory, {kIp, "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", pid});
  (void)Output(directory, {kIp, "addr", "add", "192.0.2.1/24", "dev", "outside"});
  (void)Output(directory, {kIp, "addr", "add", "2001:db8:2::1/64", "dev", "outside", "nodad"});
  (void)Output(directory, {kIp, "link", "set", "outside", "up"});
  (void)Run({kIp, "addr", "add", "192.0.2.2/24", "dev", "eth0"});
  (void)Run({kIp, "addr", "add", "2001:db8:2::2/64", "dev", "eth0", "nodad"});
  (void)Run({kIp, "link", "set", "eth0", "up"});
  (void)Run({kIp, "link", "set", "lo", "up"});
}

std::string RemoteHost::Run(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"/usr/bin/nsenter", NetnsArgument(holder_.pid()), "--"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Output(directory_, all);
}

std::string RemoteHost::Get(const std::string& address, int port, const std::string& path) const {
  const auto netns = OpenAt(AT_FDCWD, "/proc/" + std::to_string(holder_.pid()) + "/ns/net", O_RDONLY);
  EXPECT_OK(netns);
  std::string text = "error: cannot enter";
  std::thread([&] {
    if (::setns(netns->get(), CLONE_NEWNET) == 0) text = HttpGet(address, port, path);
  }).join();
  return text;
}

void RemoteHost::Serve() {
  const std::string web = directory_ + "/remote-web";
  WriteText(web + "/cgi-bin/ip", "#!/bin/sh\necho\necho $REMOTE_ADDR\n");
  std::filesystem::permissions(web + "/cgi-bin/ip", std::filesystem::perms(0755));
  servers_.emplace_back(directory_,
                        std::vector<std::string>{"/usr/bin/nsenter", NetnsArgument(holder_.pid()), "--", "/bin/busybox",
                                                 "httpd", "-f", "-p", "[::]:9000", "-h", web});
  EXPECT_TRUE(WaitUntil([&] { return !Get("127.0.0.1", 9000, "/cgi-bin/ip").starts_with("error"); }));
}

}  // namespace fermata::testing
