// Section 5 of the threat table: hostile requests. Refused, or harmless; the host and the daemon stay as they are.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/stubs/logging.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/canary.h"

namespace fermata::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using grpc::StatusCode;

#ifdef FERMATA_SANITIZED
constexpr bool kSanitized = true;  // keeps what was freed
#else
constexpr bool kSanitized = false;
#endif

class RequestRows : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (!IsSkipped()) pod_ = cri().RunPod("requests");
  }
  v1::ContainerConfig Script(const std::string& script) {
    return Cri::ContainerConfig("c" + std::to_string(serial_++), {"sh", "-c", script});
  }
  v1::ContainerConfig Mounted(const std::string& source) {
    v1::ContainerConfig config = Script("true");
    config.add_mounts()->set_host_path(source);
    config.mutable_mounts(0)->set_container_path("/mnt");
    return config;
  }
  // Refused at once, or when it is started.
  void ExpectRefused(const std::string& pod, const v1::ContainerConfig& config) {
    std::string id;
    grpc::Status status = cri().TryCreate(pod, config, &id);
    if (status.ok()) {
      status = cri().TryStart(id);
      EXPECT_TRUE(Ok(cri().Remove(id)));
    }
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
  }

  TemporaryDirectory directory_;
  std::string pod_;
  int serial_ = 0;
};

TEST_F(RequestRows, M09SourcesOnProcfsAndBehindMagicLinksAreRefused) {
  for (const char* source :
       {"/proc/1/root", "/proc/1/root/etc", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/cwd",
        "/proc/self/fd/0", "/proc/1/fd/1", "/dev/fd/0", "/dev/stdin", "/proc/sys", "/proc/1", "/proc/self/ns/net",
        "/proc/no-such/root", "/proc/self/map_files", "//proc/1/root"}) {
    SCOPED_TRACE(source);
    ExpectRefused(pod_, Mounted(source));
  }
  for (const char* target : {"/proc/self/root", "/proc/sys"}) {
    const std::filesystem::path link = directory_ / ("link" + std::to_string(serial_));
    std::filesystem::create_symlink(target, link);
    SCOPED_TRACE(target);
    ExpectRefused(pod_, Mounted(link));
  }
  // The whole of it is what agents on a node ask for, and shows them what the node's files say anyway.
  EXPECT_EQ(cri().RunToEnd(pod_, Mounted("/proc")).status.exit_code(), 0);
  // A privileged one may have a part too, and still nothing behind a magic link.
  v1::PodSandboxConfig sandbox = cri().PodConfig("privileged");
  sandbox.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string privileged = cri().RunPod(sandbox);
  v1::ContainerConfig config = Mounted("/proc/sys");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  EXPECT_EQ(cri().RunToEnd(privileged, config).status.exit_code(), 0);
  config.mutable_mounts(0)->set_host_path("/proc/1/root");
  ExpectRefused(privileged, config);
}

TEST_F(RequestRows, M09ASourceThatBecomesAMagicLinkIsRefusedAtTheStart) {
  std::filesystem::create_directories(directory_ / "source");
  const std::string id = cri().Create(pod_, Mounted(directory_ / "source/etc"));
  std::filesystem::remove(directory_ / "source");
  std::filesystem::create_symlink("/proc/1/root", directory_ / "source");
  EXPECT_EQ(cri().TryStart(id).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(RequestRows, M10BidirectionalPropagationNeedsAPrivilegedContainer) {
  v1::ContainerConfig config = Mounted(directory_.path());
  config.mutable_mounts(0)->set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
  EXPECT_TRUE(Is(cri().TryCreate(pod_, config), StatusCode::INVALID_ARGUMENT, "privileged"));
}

TEST_F(RequestRows, C01C02HostileSysctlsAreRefusedAndTheHostKeepsItsOwn) {
  const char* const watched[] = {
      "kernel/core_pattern", "kernel/modprobe",     "kernel/shmmax",      "kernel/msgmax",        "kernel/sem",
      "kernel/hostname",     "net/ipv4/ip_forward", "net/core/somaxconn", "vm/overcommit_memory", "fs/mqueue/msg_max"};
  const auto snapshot = [&] {
    std::string text;
    for (const char* name : watched) text += ReadText(std::string("/proc/sys/") + name);
    return text;
  };
  const std::string before = snapshot();
  struct Row {
    const char *name, *value;
    bool host_network, host_ipc;
  };
  for (const Row& row :
       {Row{"kernel.core_pattern", "|/bin/sh", false, false},
        Row{"kernel.shmmax+kernel.core_pattern", "x", false, false},
        Row{"kernel.shm_rmid_forced", "1+kernel.core_pattern=x\n", false, false},
        Row{"net/../kernel/modprobe", "x", false, false}, Row{"vm.overcommit_memory", "1", false, false},
        Row{"kernel.hostname", "x", false, false}, Row{"net.ipv4.ip_forward", "1", true, false},
        Row{"net.core.somaxconn", "7", true, false}, Row{"kernel.shmmax", "7", false, true},
        Row{"kernel.msgmax", "7", false, true}, Row{"fs.mqueue.msg_max", "7", false, true}}) {
    v1::PodSandboxConfig config = cri().PodConfig("sysctl");
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    if (row.host_network) options.set_network(v1::NODE);
    if (row.host_ipc) options.set_ipc(v1::NODE);
    (*config.mutable_linux()->mutable_sysctls())[row.name] = row.value;
    EXPECT_TRUE(Is(cri().TryRunPod(config), StatusCode::INVALID_ARGUMENT, "sysctls")) << row.name;
  }
  v1::PodSandboxConfig allowed = cri().PodConfig("sysctl-allowed");
  (*allowed.mutable_linux()->mutable_sysctls())["kernel.shmmax"] = "4096";
  (*allowed.mutable_linux()->mutable_sysctls())["net.core.somaxconn"] = "77";
  (void)cri().RunPod(allowed);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(RequestRows, C04FifteenLogPathsThatLeadElsewhereAreRefused) {
  const Canary canary(directory_ / "canary");
  const std::string logs = cri().LogDirectory("requests");
  std::filesystem::create_directories(logs);
  std::filesystem::create_symlink(canary.directory() + "/outside", logs + "/link");
  std::filesystem::create_symlink(canary.directory(), logs + "/directory-link");
  std::filesystem::create_symlink("../../../d/config.toml", logs + "/relative-link");
  std::filesystem::create_symlink(canary.directory() + "/new", logs + "/dangling");
  std::filesystem::create_directory(logs + "/directory");
  ASSERT_EQ(::mkfifo((logs + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((logs + "/device").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  WriteText(directory_ / "other", "");
  std::filesystem::create_hard_link(directory_ / "other", logs + "/hard-link");
  for (const std::string& path :
       {std::string("../x.log"), std::string("../../x.log"), std::string("a/../../x.log"), std::string("/etc/x.log"),
        std::string("a/.."), std::string("."), std::string("a/"), std::string("a\0b", 3), "a" + std::string(5000, 'x'),
        std::string("link"), std::string("directory-link/x.log"), std::string("relative-link"), std::string("dangling"),
        std::string("directory"), std::string("fifo"), std::string("device"), std::string("hard-link"),
        std::string("fifo/x.log")}) {
    SCOPED_TRACE(path);
    v1::ContainerConfig config = Script("echo written");
    config.set_log_path(path);
    ExpectRefused(pod_, config);
    canary.ExpectUnchanged();
  }
  EXPECT_EQ(ReadText(directory_ / "other"), "");
  EXPECT_FALSE(std::filesystem::exists(canary.directory() + "/new"));
}

TEST_F(RequestRows, C05AnEndlessLineAndAFloodCostNoMemory) {
  const auto resident = [&] {
    uint64_t pages = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string comm = ReadText(entry.path() / "comm");
      const bool of_us =
          ReadText(entry.path() / "cgroup").find(std::filesystem::path(daemon().cgroup_root()).filename()) !=
          std::string::npos;
      if (entry.path().filename() != std::to_string(daemon().pid()) && !(of_us && comm.starts_with("fermata")))
        continue;
      std::istringstream statm(ReadText(entry.path() / "statm"));
      uint64_t size = 0, rss = 0;
      statm >> size >> rss;
      pages += rss;
    }
    return pages * 4096;
  };
  const uint64_t before = resident();
  // The long line without an end, then lines as fast as they come: 64 MiB each.
  const std::string id =
      cri().Run(pod_, Script("head -c 67108864 /dev/zero | busybox tr '\\0' x; echo; yes | head -c 67108864"));
  uint64_t most = before;
  EXPECT_TRUE(WaitUntil([&] {
    most = std::max(most, resident());
    return cri().Status(id).state() == v1::CONTAINER_EXITED;
  }));
  EXPECT_TRUE(kSanitized || most <= before + (uint64_t{8} << 20)) << most - before;
  std::ifstream log(cri().Status(id).log_path());
  uint64_t content = 0;
  for (std::string line; std::getline(log, line);) {
    const size_t tag = line.find(" stdout ");
    ASSERT_EQ(tag, 30U) << line.substr(0, 80);
    const bool whole = line[tag + 8] == 'F';
    ASSERT_TRUE(whole || line[tag + 8] == 'P');
    ASSERT_LE(line.size(), tag + 10 + 16'384);
    content += line.size() - tag - 10 + (whole ? 1 : 0);
  }
  EXPECT_EQ(content, (uint64_t{128} << 20) + 1);
}

TEST_F(RequestRows, C07NodesThatAContainerMakesCannotBeOpened) {
  const std::string id = cri().Run(pod_, Script("sleep 1000"));
  for (const char* node : {"b 8 0", "b 254 0", "c 1 1", "c 1 2", "c 1 11", "c 10 200"}) {
    const auto outcome = cri().Exec(
        id, {"sh", "-c", std::string("rm -f /tmp/node; busybox mknod /tmp/node ") + node + " && head -c 1 /tmp/node"});
    EXPECT_NE(outcome.code, 0) << node;
    EXPECT_NE(outcome.err.find("Operation not permitted"), std::string::npos) << node << outcome.err;
  }
  cri().Shell(id, "busybox mknod /tmp/null c 1 3 && head -c 1 /tmp/null");
}

TEST_F(RequestRows, C10LinesInAVariableReachNoFileOfLines) {
  for (const char* home : {"/\nevil:x:0:0::/:/bin/sh", "/\\nevil:x:0:0::/:", "/\r\nevil:x:0:0::/:",
                           "/\x0b"
                           "evil:x:0:0",
                           "/\x85"
                           "evil",
                           "/\u2028evil:x:0:0", "/:evil:x:0:0", "/\n\n\n"}) {
    v1::ContainerConfig config = Script("busybox wc -l < /etc/passwd; busybox wc -l < /etc/group");
    config.add_envs()->set_key("HOME");
    config.mutable_envs(0)->set_value(home);
    EXPECT_EQ(cri().RunToEnd(pod_, config).out, "2\n3\n") << home;
  }
}

TEST_F(RequestRows, C14EveryProcessIsInTheGroupOfItsPod) {
  const std::string own = std::filesystem::path(daemon().cgroup_root()).filename();
  const auto group_of = [&](const std::string& id) {
    const std::string text = ReadText("/proc/" + std::to_string(cri().Pid(id)) + "/cgroup");
    const size_t at = text.find("0::");
    return text.substr(at + 3, text.find('\n', at) - at - 3);
  };
  for (const std::string& parent : {std::string(), "/" + own + "/parents/a", "/" + own + "/parents/b/c"}) {
    v1::PodSandboxConfig config = cri().PodConfig("grouped" + std::to_string(serial_));
    config.mutable_linux()->set_cgroup_parent(parent);
    const std::string pod = cri().RunPod(config);
    const std::string id = cri().Run(pod, Script("cat /proc/self/cgroup; exec sleep 1000"));
    const std::string group = group_of(id);
    EXPECT_TRUE(group.starts_with(parent.empty() ? "/" + own + "/" : parent + "/")) << group;
    EXPECT_NE(group.find(id), std::string::npos) << group;
    const std::string exec = cri().Shell(id, "grep '^0::' /proc/self/cgroup");
    EXPECT_TRUE(exec.starts_with("0::/") && exec.find("..") == std::string::npos) << exec;
    EXPECT_TRUE(Ok(cri().RemovePod(pod)));
  }
  for (const char* parent : {"/../outside", "a/../../b", "/a/../..", "//../x", "/a\nb"}) {
    v1::PodSandboxConfig config = cri().PodConfig("parent");
    config.mutable_linux()->set_cgroup_parent(parent);
    EXPECT_EQ(cri().TryRunPod(config).error_code(), StatusCode::INVALID_ARGUMENT) << parent;
  }
  for (const char* name : {"/parents/a", "/parents/b/c", "/parents/b", "/parents"}) {
    (void)::rmdir((daemon().cgroup_root() + name).c_str());
  }
}

TEST_F(RequestRows, C20ATargetInAnotherPodOrOneThatEndsIsNeverJoined) {
  const std::string other = cri().RunPod("other");
  const std::string foreign = cri().Run(other, Script("sleep 1000"));
  const auto targeted = [&](const std::string& target) {
    v1::ContainerConfig config = Script("sleep 1000");
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_pid(v1::TARGET);
    options.set_target_id(target);
    return config;
  };
  for (const std::string& target : {foreign, pod_, std::string("1"), std::string("../x"), foreign.substr(0, 12)}) {
    EXPECT_EQ(cri().TryCreate(pod_, targeted(target)).error_code(), StatusCode::INVALID_ARGUMENT) << target;
  }
  const int rounds = std::getenv("FERMATA_FULL") == nullptr ? 10 : 1000;
  for (int i = 0; i < rounds; ++i) {
    v1::ContainerConfig ending = Script("usleep " + std::to_string(i % 10 * 5000));
    ending.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::CONTAINER);
    const std::string target = cri().Run(pod_, ending);
    std::string id;
    if (cri().TryCreate(pod_, targeted(target), &id).ok()) {
      if (cri().TryStart(id).ok()) {
        std::error_code gone;
        const auto joined = std::filesystem::read_symlink("/proc/" + std::to_string(cri().Pid(id)) + "/ns/pid", gone);
        EXPECT_NE(joined, std::filesystem::read_symlink("/proc/self/ns/pid", gone));
        EXPECT_NE(joined,
                  std::filesystem::read_symlink("/proc/" + std::to_string(cri().Pid(foreign)) + "/ns/pid", gone));
      }
      EXPECT_TRUE(Ok(cri().Remove(id)));
    }
    EXPECT_TRUE(Ok(cri().Remove(target)));
  }
}

// One call by its name, with bytes as they are.
grpc::Status CallRaw(grpc::GenericStub& stub, const std::string& method, const std::string& bytes) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(20)));
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool fine = false;
  (void)queue.Next(&tag, &fine);
  queue.Shutdown();
  return status;
}

void ForEachString(Message& root, Message& message, const std::string& text, int depth,
                   const std::function<void(const Message&, const FieldDescriptor&)>& visit) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (depth > 5) return;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      field->is_repeated() ? reflection.AddString(&message, field, text) : reflection.SetString(&message, field, text);
      visit(root, *field);
      reflection.ClearField(&message, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      ForEachString(
          root,
          field->is_repeated() ? *reflection.AddMessage(&message, field) : *reflection.MutableMessage(&message, field),
          text, depth + 1, visit);
      reflection.ClearField(&message, field);
    }
  }
}

TEST_F(RequestRows, C11NoPatternInAnyStringOfAnyCallEndsTheDaemon) {
  const google::protobuf::LogSilencer silence;  // it complains of what is sent on purpose
  grpc::GenericStub stub(daemon().channel);
  const pid_t pid = daemon().pid();
  const std::string patterns[] = {"\xff\xfe\x80", std::string("a\0b", 3), "../../x", std::string(70'000, 'a'),
                                  "\n\x1b[2J"};
  size_t calls = 0;
  for (const auto* service : {v1::ListContainersRequest::descriptor()->file()->FindServiceByName("RuntimeService"),
                              v1::ListContainersRequest::descriptor()->file()->FindServiceByName("ImageService")}) {
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* method = service->method(i);
      if (method->client_streaming() || method->server_streaming()) continue;
      const std::string path = "/" + service->full_name() + "/" + method->name();
      const Message* prototype =
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(method->input_type());
      for (const std::string& text : patterns) {
        const std::unique_ptr<Message> request(prototype->New());
        ForEachString(*request, *request, text, 0, [&](const Message& whole, const FieldDescriptor& field) {
          const grpc::Status status = CallRaw(stub, path, whole.SerializePartialAsString());
          ++calls;
          EXPECT_NE(status.error_code(), StatusCode::UNAVAILABLE) << path << " " << field.full_name();
          EXPECT_NE(status.error_code(), StatusCode::DEADLINE_EXCEEDED) << path << " " << field.full_name();
          if (text == patterns[0] && field.type() == FieldDescriptor::TYPE_STRING) {
            EXPECT_FALSE(status.ok()) << path << " " << field.full_name() << ": text that is no UTF-8";
          }
        });
      }
    }
  }
  EXPECT_GE(calls, 500U);
  EXPECT_EQ(daemon().pid(), pid);
  EXPECT_EQ(cri().Pods().size(), 1U) << "nothing was made of it";
}

}  // namespace
}  // namespace fermata::testing
