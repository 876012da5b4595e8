// GetContainerEvents: order and content, what a new follower is told, and followers that never read.
#include <fstream>
#include <thread>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;

// A follower; Read gives its next event of this test's pod.
class Follower {
 public:
  explicit Follower(Daemon& daemon) : Follower(*daemon.runtime) {}
  explicit Follower(v1::RuntimeService::Stub& runtime) {
    context_.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(120)));
    reader_ = runtime.GetContainerEvents(&context_, v1::GetEventsRequest());
    reader_->WaitForInitialMetadata();
  }
  ~Follower() {
    if (reader_ == nullptr) return;
    context_.TryCancel();
    (void)reader_->Finish();
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  bool Read(v1::ContainerEventResponse* event) { return reader_->Read(event); }
  // "CREATED of <id>" and so on, of events that tell of the pod.
  std::string Next(const std::string& pod) {
    for (v1::ContainerEventResponse event; Read(&event);) {
      last = event;
      const bool of_pod = event.container_id() == pod || event.pod_sandbox_status().id() == pod;
      if (!of_pod) continue;
      std::string name = v1::ContainerEventType_Name(event.container_event_type());
      name = name.substr(10, name.size() - 16);
      return name + " of " + event.container_id();
    }
    return "the end";
  }
  // Reads what is there, until the stream ends.
  grpc::Status ReadToEnd() {
    for (v1::ContainerEventResponse event; Read(&event);) ++read;
    grpc::Status status = reader_->Finish();
    reader_ = nullptr;
    return status;
  }

  v1::ContainerEventResponse last;
  int read = 0;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>> reader_;
};

class EventsTest : public DaemonTest {
 protected:
  static long DaemonKilobytes() {
    std::ifstream status("/proc/" + std::to_string(daemon().pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    }
    return 0;
  }
};

TEST_F(EventsTest, TellsTheLifeOfAPodInOrderWithItsStatuses) {
  Follower one(daemon()), two(daemon());
  const std::string pod = cri().RunPod("events");
  const std::string id = cri().Create(pod, Cri::ContainerConfig("main", {"sh", "-c", "exit 3"}));
  ASSERT_TRUE(Ok(cri().TryStart(id)));
  cri().WaitExited(id);
  ASSERT_TRUE(Ok(cri().Remove(id)));
  ASSERT_TRUE(Ok(cri().StopPod(pod)));
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
  for (Follower* follower : {&one, &two}) {
    EXPECT_EQ(follower->Next(pod), "CREATED of " + pod);
    EXPECT_EQ(follower->Next(pod), "STARTED of " + pod);
    EXPECT_EQ(follower->last.pod_sandbox_status().state(), v1::SANDBOX_READY);
    EXPECT_EQ(follower->Next(pod), "CREATED of " + id);
    ASSERT_EQ(follower->last.containers_statuses_size(), 1);
    EXPECT_EQ(follower->last.containers_statuses(0).state(), v1::CONTAINER_CREATED);
    const int64_t created_at = follower->last.created_at();
    EXPECT_EQ(follower->Next(pod), "STARTED of " + id);
    EXPECT_EQ(follower->Next(pod), "STOPPED of " + id);
    ASSERT_EQ(follower->last.containers_statuses_size(), 1);
    EXPECT_EQ(follower->last.containers_statuses(0).exit_code(), 3);
    EXPECT_GE(follower->last.created_at(), created_at);
    EXPECT_EQ(follower->Next(pod), "DELETED of " + id);
    EXPECT_EQ(follower->last.containers_statuses_size(), 0);
    EXPECT_EQ(follower->Next(pod), "STOPPED of " + pod);
    EXPECT_EQ(follower->last.pod_sandbox_status().state(), v1::SANDBOX_NOTREADY);
    EXPECT_EQ(follower->Next(pod), "DELETED of " + pod);
    EXPECT_FALSE(follower->last.has_pod_sandbox_status());
  }
}

TEST_F(EventsTest, TellsWhatHappenedWhileNobodyListened) {
  const std::string pod = cri().RunPod("replay");
  Follower late(daemon());
  EXPECT_EQ(late.Next(pod), "CREATED of " + pod);
  EXPECT_EQ(late.Next(pod), "STARTED of " + pod);
  const std::string id =
      cri().Run(pod, Cri::ContainerConfig("main", {"sh", "-c", "while ! [ -e /go ]; do sleep .05; done"}));
  // It ends while there is no daemon.
  const int pid = cri().Pid(id);
  daemon().Kill9();
  WriteText("/proc/" + std::to_string(pid) + "/root/go", "");
  ASSERT_TRUE(WaitUntil([&] { return !std::filesystem::exists("/proc/" + std::to_string(pid)); }));
  ASSERT_TRUE(daemon().Restart());
  Follower after(daemon());
  EXPECT_EQ(after.Next(pod), "STOPPED of " + id);
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
}

// A channel of its own that takes 64 KB of a stream that is not read. Left to itself, gRPC's client takes megabytes.
std::unique_ptr<v1::RuntimeService::Stub> NarrowStub(const Daemon& daemon) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::RuntimeService::NewStub(
      grpc::CreateCustomChannel("unix:" + daemon.socket(), grpc::InsecureChannelCredentials(), arguments));
}

TEST_F(EventsTest, EndsAThousandFollowersThatNeverReadAndServesTheOthers) {
  cri().WarmUp();
  constexpr int kFollowers = 1000;
  const auto narrow = NarrowStub(daemon());
  std::vector<std::unique_ptr<Follower>> stuck;
  for (int i = 0; i < kFollowers; ++i) stuck.push_back(std::make_unique<Follower>(*narrow));
  Follower reader(daemon());
  const long before = DaemonKilobytes();
  // Statuses of some kilobytes fill what lies between daemon and client; then more events than the log holds.
  v1::PodSandboxConfig config = cri().PodConfig("large");
  (*config.mutable_annotations())["large"] = std::string(4000, 'x');
  const std::string pod = cri().RunPod(config);
  EXPECT_EQ(reader.Next(pod), "CREATED of " + pod);
  EXPECT_EQ(reader.Next(pod), "STARTED of " + pod);
  for (int i = 0; i < 560; ++i) {
    const std::string id = cri().Create(pod, Cri::ContainerConfig("c" + std::to_string(i), {"true"}));
    ASSERT_TRUE(Ok(cri().Remove(id)));
    ASSERT_EQ(reader.Next(pod), "CREATED of " + id);
    ASSERT_EQ(reader.Next(pod), "DELETED of " + id);
  }
  const long grown = DaemonKilobytes() - before;
  std::printf("a follower that never reads costs the daemon %ld KB\n", grown / kFollowers);
  EXPECT_LT(grown, 100L * kFollowers) << "one message for each, and no queue of a thousand";
  for (int i = 0; i < kFollowers; i += 100) {
    EXPECT_TRUE(Is(stuck[i]->ReadToEnd(), StatusCode::RESOURCE_EXHAUSTED, "faster than they were read"));
    EXPECT_LT(stuck[i]->read, 1000);
  }
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
}

TEST_F(EventsTest, EndsWithTheDaemon) {
  Follower follower(daemon());
  EXPECT_EQ(daemon().Terminate(), 0);
  EXPECT_TRUE(Is(follower.ReadToEnd(), StatusCode::UNAVAILABLE, ""));
  ASSERT_TRUE(daemon().Restart());
}

}  // namespace
}  // namespace fermata::testing
