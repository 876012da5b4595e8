// Creates that fail, at every step that can: nothing of them is left.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <functional>

#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class OciFailedCreates : public OciTest {
 protected:
  struct Failure {
    const char* text;  // in the message
    std::function<void()> cause;
    Words arguments = {};
  };

  void Bind(const std::string& source, const std::string& destination) {
    config["mounts"].push_back(
        {{"destination", destination}, {"type", "bind"}, {"source", source}, {"options", {"bind"}}});
  }
  void FailHook(const char* point, const char* program = "/bin/false") {
    config["hooks"][point].push_back({{"path", program}});
  }
  void MapIds(uint32_t host) {
    const Json map = {{{"containerID", 0}, {"hostID", host}, {"size", 10}}};
    config["linux"]["namespaces"].push_back({{"type", "user"}});
    config["linux"]["uidMappings"] = map;
    config["linux"]["gidMappings"] = map;
  }

  std::vector<Failure> Failures() {
    return {
        {"open /no/such/source", [&] { Bind("/no/such/source", "/mnt"); }},
        {"on /bin/busybox/x", [&] { Bind("/etc/hostname", "/bin/busybox/x"); }},
        {"on /etc: Not a directory", [&] { Bind("/etc/hostname", "/etc"); }},
        {"option nonsense",
         [&] {
           config["mounts"].push_back(
               {{"destination", "/m"}, {"type", "tmpfs"}, {"source", "t"}, {"options", {"nonsense=1"}}});
         }},
        {"mount nonsense on /m",
         [&] {
           config["mounts"].push_back({{"destination", "/m"}, {"type", "nonsense"}, {"source", "t"}});
         }},
        {"open root file system", [&] { config["root"]["path"] = "nowhere"; }},
        {"mask /bin/busybox/x", [&] { config["linux"]["maskedPaths"] = {"/bin/busybox/x"}; }},
        {"make /loop read-only", [&] { config["linux"]["readonlyPaths"] = {"/loop"}; }},
        {"unknown capability CAP_NONSENSE",
         [&] { config["process"]["capabilities"]["bounding"].push_back("CAP_NONSENSE"); }},
        {"unknown action",
         [&] {
           config["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_NONSENSE"}};
         }},
        {"RLIMIT_NONSENSE",
         [&] {
           config["process"]["rlimits"] = {{{"type", "RLIMIT_NONSENSE"}, {"soft", 1}, {"hard", 1}}};
         }},
        {"set RLIMIT_NOFILE",
         [&] {
           config["process"]["rlimits"] = {{{"type", "RLIMIT_NOFILE"}, {"soft", 1U << 31}, {"hard", 1U << 31}}};
         }},
        {"enter working directory", [&] { config["process"]["cwd"] = "/bin/busybox/x"; }},
        {"is not mapped",
         [&] {
           MapIds(100'000);
           config["process"]["user"]["uid"] = 5000;
         }},
        {"id 0 is not mapped",
         [&] {
           MapIds(100'000);
           config["linux"]["uidMappings"][0]["containerID"] = 5;
         }},
        {"prestart hook", [&] { FailHook("prestart"); }},
        {"createRuntime hook", [&] { FailHook("createRuntime"); }},
        {"createContainer hook", [&] { FailHook("createContainer"); }},
        {"createRuntime hook", [&] { FailHook("createRuntime", "/no/such/hook"); }},
        {"executable file not found in $PATH", [&] { config["process"]["args"] = {"nonsense"}; }},
        {"Permission denied", [&] { config["process"]["args"] = {"/etc/passwd"}; }},
        {"console socket", [&] { config["process"]["terminal"] = true; }, {"--console-socket", "/no/such/socket"}},
        {"pid file", [&] {}, {"--pid-file", "/no/such/directory/pid"}},
        {"descriptor 3 is not open", [&] {}, {"--preserve-fds", "1"}},
        {"network namespace", [&] { config["linux"]["namespaces"][4]["path"] = "/no/such/namespace"; }},
        {"join namespace", [&] { config["linux"]["namespaces"][4]["path"] = "/proc/self/ns/ipc"; }},
        {"seccomp listener",
         [&] {
           config["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"},
                                         {"listenerPath", "/no/such/socket"},
                                         {"syscalls", {{{"names", {"mkdir"}}, {"action", "SCMP_ACT_NOTIFY"}}}}};
         }},
        {"set sysctl", [&] { config["linux"]["sysctl"]["net.ipv4.ip_forward"] = "nonsense"; }},
        {"set sysctl", [&] { config["linux"]["sysctl"]["net.no.such"] = "1"; }},
        {"make device",
         [&] {
           config["linux"]["devices"] = {{{"path", "/bin/busybox/x"}, {"type", "p"}}};
         }},
        {"hostname", [&] { config["hostname"] = std::string(100, 'x'); }},
        {"set time offsets",
         [&] {
           config["linux"]["namespaces"].push_back({{"type", "time"}});
           config["linux"]["timeOffsets"]["boottime"]["secs"] = -4'000'000'000;
         }},
        {"nonsense", [&] { config["linux"]["resources"]["unified"]["nonsense.max"] = "1"; }},
        {"memory policy",
         [&] {
           config["linux"]["memoryPolicy"] = {{"mode", "MPOL_BIND"}, {"nodes", "1000"}};
         }},
    };
  }
};

TEST_F(OciFailedCreates, EverythingIsAsItWasBefore) {
  std::filesystem::create_symlink("loop", InRoot("loop"));
  // Empty files and directories for mount points are made in the bundle, as every runtime does; they are not counted.
  const Json before_config = config;
  const Remains before = Look();
  const char* full = std::getenv("FERMATA_FULL");
  const int wanted = full != nullptr && std::string(full) == "1" ? 1000 : 100;
  for (int made = 0; made < wanted;) {
    const std::vector<Failure> failures = Failures();
    for (size_t i = 0; i < failures.size() && made < wanted; ++i, ++made) {
      config = before_config;
      failures[i].cause();
      const Outcome created = Create(failures[i].arguments);
      ASSERT_EQ(created.code, 1) << "cause " << i << ", " << failures[i].text;
      ASSERT_THAT(created.err, HasSubstr(failures[i].text)) << "cause " << i;
      ASSERT_EQ(Look(), before) << "cause " << i << ", " << failures[i].text;
    }
  }
}

TEST_F(OciFailedCreates, ABusyGroupIsLeftToWhoIsInIt) {
  StartSleeper();
  const Remains before = Look();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(Create({}, "other").code, 1);
    ASSERT_EQ(Look(), before);
  }
  EXPECT_EQ(StatusOf(), "running");
}

}  // namespace
}  // namespace fermata::testing
