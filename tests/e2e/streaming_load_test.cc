// F-19: clients that drop, end half, never read, and resize like mad; ExecSync with orphans. Afterwards nothing of it
// is left: no descriptor, thread, process or control group. FERMATA_FULL=1: the large numbers.
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/e2e/stream_client.h"

namespace fermata::testing {
namespace {

class StreamingLoadTest : public DaemonTest {
 protected:
  // One client of the manner of its number.
  static void One(const std::string& id, int i) {
    std::string url;
    const StreamOptions terminal{.tty = true, .want_stdin = true, .want_stderr = false};
    const StreamOptions input{.want_stdin = true};
    switch (i % 6) {
      case 0: {  // drops in the middle
        EXPECT_TRUE(Ok(TryExecUrl(daemon(), id, {"sh", "-c", "echo x; read y"}, input, &url)));
        StreamClient(url).ReadUntil("x");
        return;
      }
      case 1: {  // never reads
        EXPECT_TRUE(Ok(TryExecUrl(daemon(), id, {"sh", "-c", "yes | head -c 1000000"}, {}, &url)));
        StreamClient client(url);
        return;
      }
      case 2: {  // a storm of sizes
        EXPECT_TRUE(Ok(TryExecUrl(daemon(), id, {"cat"}, terminal, &url)));
        StreamClient client(url);
        for (int size = 1; size < 100; ++size) client.Resize(size, size);
        return;
      }
      case 3: {  // half
        EXPECT_TRUE(Ok(TryExecUrl(daemon(), id, {"cat"}, input, &url)));
        StreamClient client(url);
        client.Input("half");
        client.InputEnd();
        EXPECT_EQ(client.Finish(), 0) << client.head() << client.out[3];
        EXPECT_EQ(client.out[1], "half");
        return;
      }
      case 4: {  // an attachment that leaves
        EXPECT_TRUE(Ok(TryAttachUrl(daemon(), id, input, &url)));
        StreamClient client(url);
        client.Input("x\n");
        return;
      }
      default: {  // a bad command on a terminal
        EXPECT_TRUE(Ok(TryExecUrl(daemon(), id, {"nothing"}, terminal, &url)));
        StreamClient client(url);
        EXPECT_EQ(client.Finish(), -1);
      }
    }
  }
  static bool Full() { return std::getenv("FERMATA_FULL") != nullptr; }
  [[nodiscard]] static long Threads() { return Count("task"); }
  [[nodiscard]] static long Count(const char* what) {
    const std::filesystem::path path = "/proc/" + std::to_string(daemon().pid()) + "/" + what;
    return std::distance(std::filesystem::directory_iterator(path), {});
  }
  static long ResidentKib() {
    const std::string text = ReadText("/proc/" + std::to_string(daemon().pid()) + "/status");
    return std::atol(text.c_str() + text.find("VmRSS:") + 6);
  }
};

TEST_F(StreamingLoadTest, ClientsOfAllManners) {
  const std::string pod = cri().RunPod("load");
  v1::ContainerConfig config = Cri::ContainerConfig("c", {"cat"});
  config.set_stdin(true);
  const std::string id = cri().Run(pod, config);
  for (int i = 0; i < 12; ++i) One(id, i);  // warm
  const auto settled = [&] { return cri().Shell(id, "ps | grep -cE 'cat|read y|yes|head' || true") <= "4"; };
  EXPECT_TRUE(WaitUntil(settled));
  const LeakAudit before = daemon().Audit();
  const long threads = Threads();
  const long memory = ResidentKib();
  const int streams = Full() ? 2000 : 200;
  for (int i = 0; i < streams; ++i) One(id, i);
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
  EXPECT_TRUE(WaitUntil([&] { return Threads() <= threads + 2; }, std::chrono::seconds(30))) << Threads();
  EXPECT_LT(ResidentKib(), memory + 8192);
  RecordProperty("memory_growth_kib", static_cast<int>(ResidentKib() - memory));
}

TEST_F(StreamingLoadTest, ExecSyncWithOrphans) {
  const std::string pod = cri().RunPod("load");
  const std::string id = cri().Run(pod, Cri::ContainerConfig("c", {"sleep", "99999"}));
  EXPECT_EQ(cri().Exec(id, {"sh", "-c", "sleep 1000 & exit 0"}).code, 0);
  (void)cri().Exec(id, {"sh", "-c", "kill $(ps | awk '/sleep 100[0]$/ {print $1}')"});
  const LeakAudit before = daemon().Audit();
  const int count = Full() ? 1000 : 100;
  // Side by side: each waits a quarter of a second for more output.
  constexpr int kSideBySide = 20;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kSideBySide; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < count / kSideBySide; ++i) {
        const ExecOutcome outcome = cri().Exec(id, {"sh", "-c", "sleep 1000 & exit 0"});
        EXPECT_TRUE(Ok(outcome.status));
        EXPECT_EQ(outcome.code, 0);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  // They live on, and go when somebody ends them: then their control groups go too.
  EXPECT_EQ(cri().Shell(id, "ps | grep -c '[s]leep 1000$'"), std::to_string(count));
  (void)cri().Exec(id, {"sh", "-c", "kill $(ps | awk '/sleep 100[0]$/ {print $1}')"});
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
}

}  // namespace
}  // namespace fermata::testing
