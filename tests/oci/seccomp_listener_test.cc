// Seccomp filters, and whoever answers for SCMP_ACT_NOTIFY.
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

// A stream socket with a name, and what comes by it: the state as text, and one descriptor.
class Agent {
 public:
  explicit Agent(const std::string& path) : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_.get(), 1), 0);
  }

  // Takes the listener, then answers `calls` calls: each gives `errno_value`.
  void Answer(int calls, int errno_value) {
    pollfd ready{listening_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 60'000) != 1) return;
    const UniqueFd connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    UniqueFd listener = Take(connection.get());
    for (int i = 0; i < calls; ++i) {
      pollfd asked{listener.get(), POLLIN, 0};
      if (::poll(&asked, 1, 60'000) != 1) return;
      seccomp_notif call{};
      if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
      seccomp_notif_resp answer{};
      answer.id = call.id;
      answer.error = -errno_value;
      if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0) return;
      ++answered_;
    }
  }
  [[nodiscard]] int answered() const { return answered_; }
  [[nodiscard]] const std::string& state() const { return state_; }

 private:
  UniqueFd Take(int connection) {
    char buffer[65536];
    iovec part{buffer, sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    int fd = -1;
    for (;;) {
      const ssize_t count = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
      if (count <= 0) return UniqueFd(fd);
      state_.append(buffer, static_cast<size_t>(count));
      const cmsghdr* header = CMSG_FIRSTHDR(&message);
      if (header != nullptr && header->cmsg_type == SCM_RIGHTS) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
  }

  UniqueFd listening_;
  std::string state_;
  int answered_ = 0;
};

class OciSeccomp : public OciTest {
 protected:
  void Notify(const Json& names) {
    config["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"},
                                  {"listenerPath", Path("agent")},
                                  {"listenerMetadata", "of the test"},
                                  {"syscalls", {{{"names", names}, {"action", "SCMP_ACT_NOTIFY"}}}}};
  }
};

TEST_F(OciSeccomp, TheListenerArrivesWithTheStateAndAnswersACall) {
  Notify({"mkdir", "mkdirat"});
  Agent agent(Path("agent"));
  std::thread answers([&] { agent.Answer(1, ENOMEDIUM); });
  SetScript("mkdir /tmp/x; test -e /tmp/x || echo none");
  const Outcome created = Create();
  EXPECT_EQ(created.code, 0) << created.err;
  const pid_t pid = PidOf();
  EXPECT_EQ(Oci({"start", "c"}).code, 0);
  answers.join();
  EXPECT_EQ(agent.answered(), 1);
  const Json state = Json::parse(agent.state());
  EXPECT_EQ(state.at("fds"), Json::array({"seccompFd"}));
  EXPECT_EQ(state.at("pid"), pid);
  EXPECT_EQ(state.at("metadata"), "of the test");
  EXPECT_EQ(state.at("state").at("id"), "c");
  EXPECT_EQ(state.at("state").at("status"), "creating");
  AwaitEnd();
  EXPECT_FALSE(std::filesystem::exists(InRoot("tmp/x")));
}

TEST_F(OciSeccomp, TheListenerOfAnExecArrivesToo) {
  Notify({"mkdir", "mkdirat"});
  SetScript("sleep 1000");
  {
    Agent agent(Path("agent"));
    std::thread answers([&] { agent.Answer(0, 0); });
    EXPECT_EQ(Create().code, 0);
    answers.join();
  }
  std::filesystem::remove(Path("agent"));
  EXPECT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_THAT(Oci({"exec", "c", "true"}).err, HasSubstr("seccomp listener: connect to")) << "nobody would answer";
  Agent agent(Path("agent"));
  std::thread answers([&] { agent.Answer(1, ENOMEDIUM); });
  const Outcome outcome = Oci({"exec", "c", "sh", "-c", "mkdir /tmp/x 2>/dev/null || echo none"});
  answers.join();
  EXPECT_EQ(outcome.out, "none\n") << outcome.err;
  EXPECT_EQ(agent.answered(), 1);
  const Json state = Json::parse(agent.state());
  EXPECT_NE(state.at("pid"), PidOf()) << "of the process that has the filter";
  EXPECT_EQ(state.at("state").at("pid"), PidOf());
  EXPECT_EQ(state.at("state").at("status"), "running");
}

TEST_F(OciSeccomp, ACallOfTheLastStepsBeforeTheProgramIsAnsweredToo) {
  Notify({"dup3"});
  Agent agent(Path("agent"));
  std::thread answers([&] { agent.Answer(1, EPERM); });
  const Outcome created = Create();
  answers.join();
  EXPECT_EQ(created.code, 1);
  EXPECT_THAT(created.err, HasSubstr("wait for the start: Operation not permitted"));
  EXPECT_EQ(agent.answered(), 1);
}

TEST_F(OciSeccomp, WhatCannotWorkIsRefused) {
  Notify({"sendmsg"});
  EXPECT_THAT(Create().err, HasSubstr("sendmsg"));
  Notify({"mkdir"});
  EXPECT_THAT(Create().err, HasSubstr("seccomp listener: connect to"));
  config["linux"]["seccomp"].erase("listenerPath");
  EXPECT_THAT(Create().err, HasSubstr("listenerPath and SCMP_ACT_NOTIFY belong together"));
  config["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_NONSENSE"}};
  EXPECT_THAT(Create().err, HasSubstr("SCMP_ACT_NONSENSE"));
}

TEST_F(OciSeccomp, ActionsAndArgumentsDecide) {
  config["linux"]["seccomp"] = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
    {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]},
    {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"}]})"_json;
  const Outcome run = RunScript(
      "mkdir /tmp/x; kill -USR1 $$; kill -0 $$ && echo alive; hostname x; echo $?; grep Seccomp: /proc/self/status");
  EXPECT_EQ(run.out, "alive\n159\nSeccomp:\t2\n");
  EXPECT_THAT(run.err, HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace fermata::testing
