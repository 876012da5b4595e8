// What the service manager hears, on a socket with a path and on an abstract one.
#include "cri/service_manager.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>

#include "tests/fixtures/temporary.h"

namespace fermata::cri {
namespace {

using ::testing::HasSubstr;

class ServiceManager : public ::testing::Test {
 protected:
  void TearDown() override { (void)::unsetenv("NOTIFY_SOCKET"); }
  // A datagram socket of that name (an @ at its beginning: abstract) that NOTIFY_SOCKET names from now on.
  UniqueFd Listen(const std::string& name) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name.front() == '@') address.sun_path[0] = 0;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/' ? 1 : 0));
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    (void)::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    return socket;
  }
  static std::string Heard(const UniqueFd& socket) {
    char buffer[64];
    const ssize_t size = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(buffer, static_cast<size_t>(size));
  }
  fermata::testing::TemporaryDirectory directory_;
};

TEST_F(ServiceManager, HearsThatTheDaemonIsReady) {
  for (const std::string& name : {directory_ / "notify", "@fermata-test-" + std::to_string(::getpid())}) {
    const UniqueFd socket = Listen(name);
    ASSERT_OK(NotifyServiceManager("READY=1"));
    EXPECT_EQ(Heard(socket), "READY=1") << name;
  }
}

TEST_F(ServiceManager, NobodyToTellIsNoError) {
  EXPECT_OK(NotifyServiceManager("READY=1"));
  (void)::setenv("NOTIFY_SOCKET", "", 1);
  EXPECT_OK(NotifyServiceManager("READY=1"));
}

TEST_F(ServiceManager, WhatIsNoSocketIsSaid) {
  (void)::setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_THAT(NotifyServiceManager("READY=1").error().message(), HasSubstr("is no socket of a service manager"));
  (void)::setenv("NOTIFY_SOCKET", (directory_ / "nobody").c_str(), 1);
  EXPECT_THAT(NotifyServiceManager("READY=1").error().message(), HasSubstr("notify "));
}

}  // namespace
}  // namespace fermata::cri
