// Terminals: handed to a console socket, or copied by run and exec.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "runtime/oci/terminal.h"
#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class OciTerminal : public OciTest {
 protected:
  void SetUp() override {
    OciTest::SetUp();
    if (IsSkipped()) return;
    listening_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, Path("console").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening_.get(), 4), 0);
    config["process"]["terminal"] = true;
    config["process"]["consoleSize"] = {{"width", 91}, {"height", 37}};
  }
  void TearDown() override {
    listening_.Reset();
    OciTest::TearDown();
  }
  [[nodiscard]] std::string socket() const { return Path("console"); }

  UniqueFd TakeTerminal() {
    pollfd ready{listening_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 10'000) != 1) return {};
    const UniqueFd connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto terminal = runtime::oci::ReceiveDescriptor(connection.get());
    EXPECT_OK(terminal);
    return terminal ? std::move(*terminal) : UniqueFd();
  }
  // What comes from a terminal until its other end is closed.
  static std::string Read(int terminal) {
    std::string text;
    char buffer[4096];
    for (;;) {
      pollfd ready{terminal, POLLIN, 0};
      if (::poll(&ready, 1, 10'000) != 1) return text + " (and no end)";
      const ssize_t count = ::read(terminal, buffer, sizeof buffer);
      if (count <= 0) return text;
      text.append(buffer, static_cast<size_t>(count));
    }
  }

 private:
  UniqueFd listening_;
};

// The terminal's number is the same by all names, it has the size asked for, and it is the controlling one.
constexpr const char* kLook =
    "stty size; tty; ls -l /dev/console | cut -c1-3; echo to-tty >/dev/tty; echo to-console >/dev/console; "
    "set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads; echo tty_nr $7";

TEST_F(OciTerminal, TheConsoleSocketGetsATerminalThatControlsTheProcess) {
  std::filesystem::create_symlink("busybox", InRoot("bin/tty"));
  std::filesystem::create_symlink("busybox", InRoot("bin/cut"));
  SetScript(kLook);
  const Outcome created = Create({"--console-socket", socket()});
  ASSERT_EQ(created.code, 0) << created.err;
  const UniqueFd terminal = TakeTerminal();
  ASSERT_TRUE(terminal.valid());
  ASSERT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_EQ(Read(terminal.get()), "37 91\r\n/dev/pts/0\r\ncrw\r\nto-tty\r\nto-console\r\nleads\r\ntty_nr 34816\r\n");
}

TEST_F(OciTerminal, AlsoInAUserNamespaceAndInAJoinedPidNamespace) {
  std::filesystem::create_symlink("busybox", InRoot("bin/tty"));
  std::filesystem::create_symlink("busybox", InRoot("bin/cut"));
  const Json before = config;
  const Json map = {{{"containerID", 0}, {"hostID", 100'000}, {"size", 65536}}};
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  config["linux"]["uidMappings"] = map;
  config["linux"]["gidMappings"] = map;
  ASSERT_EQ(::chmod(Path("").c_str(), 0755), 0);
  SetScript(kLook);
  Outcome created = Create({"--console-socket", socket()});
  ASSERT_EQ(created.code, 0) << created.err;
  const UniqueFd mapped = TakeTerminal();
  ASSERT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_EQ(Read(mapped.get()), "37 91\r\n/dev/pts/0\r\ncrw\r\nto-tty\r\nto-console\r\nleads\r\ntty_nr 34816\r\n");
  ASSERT_EQ(Oci({"delete", "-f", "c"}).code, 0);

  config = before;
  config["process"]["terminal"] = false;
  StartSleeper();
  config = before;
  config["linux"]["cgroupsPath"] = group() + "-2";
  config["linux"]["namespaces"][0]["path"] = "/proc/" + std::to_string(PidOf()) + "/ns/pid";
  SetScript(kLook);
  created = Create({"--console-socket", socket()}, "second");
  ASSERT_EQ(created.code, 0) << created.err;
  const UniqueFd joined = TakeTerminal();
  ASSERT_EQ(Oci({"start", "second"}).code, 0);
  EXPECT_EQ(Read(joined.get()), "37 91\r\n/dev/pts/0\r\ncrw\r\nto-tty\r\nto-console\r\nleads\r\ntty_nr 34816\r\n");
}

TEST_F(OciTerminal, AnInterruptOnTheTerminalReachesTheProcess) {
  MakeFifo("tmp/ready");
  SetScript("trap 'echo interrupted; exit 4' INT; echo x >/tmp/ready; while :; do sleep 1000 & wait $!; done");
  ASSERT_EQ(Create({"--console-socket", socket()}).code, 0);
  const UniqueFd terminal = TakeTerminal();
  ASSERT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_EQ(ReadFifo("tmp/ready"), "x");
  ASSERT_EQ(::write(terminal.get(), "\x03", 1), 1);
  EXPECT_THAT(Read(terminal.get()), HasSubstr("interrupted"));
  AwaitEnd();
}

TEST_F(OciTerminal, ExecGetsATerminalOfTheContainers) {
  config["process"]["terminal"] = false;
  for (const bool ptrace : {false, true}) {
    if (ptrace) config["process"]["capabilities"]["bounding"].push_back("CAP_SYS_PTRACE");
    StartSleeper();
    ASSERT_EQ(Oci({"exec", "-t", "-d", "--console-socket", socket(), "c", "sh", "-c",
                   "echo to-tty >/dev/tty; set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads"})
                  .code,
              0);
    const UniqueFd terminal = TakeTerminal();
    EXPECT_EQ(Read(terminal.get()), "to-tty\r\nleads\r\n") << (ptrace ? "in two stages" : "in one stage");
    ASSERT_EQ(Oci({"delete", "-f", "c"}).code, 0);
  }
}

TEST_F(OciTerminal, RunCopiesBetweenItsOwnTerminalAndTheContainers) {
  config["process"].erase("consoleSize");
  SetScript("stty size; read line; echo got $line; exit 5");
  WriteConfig();
  const UniqueFd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(ours.valid() && ::grantpt(ours.get()) == 0 && ::unlockpt(ours.get()) == 0);
  UniqueFd theirs(::open(::ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const winsize size{31, 77, 0, 0};
  ASSERT_EQ(::ioctl(theirs.get(), TIOCSWINSZ, &size), 0);
  const auto run = Begin({"run", "-b", Path("bundle"), "c"}, theirs.get(), theirs.get(), theirs.get());
  ASSERT_OK(run);
  theirs.Reset();
  ASSERT_EQ(::write(ours.get(), "hello\n", 6), 6);
  const std::string text = Read(ours.get());
  EXPECT_THAT(text, HasSubstr("got hello\r\n"));
  EXPECT_EQ(*Reap(run->pidfd), 5);
}

TEST_F(OciTerminal, ATerminalNeedsSomebodyInFrontOfIt) {
  EXPECT_THAT(Create().err, HasSubstr("needs --console-socket"));
  EXPECT_THAT(Create({"--console-socket", Path("nobody")}).err, HasSubstr("console socket: connect to"));
  config["mounts"].erase(2);
  EXPECT_THAT(Create({"--console-socket", socket()}).err, HasSubstr("needs a mount of type devpts"));
}

}  // namespace
}  // namespace fermata::testing
