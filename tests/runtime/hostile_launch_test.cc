// Rows of the threat table about launches that need no process: plans, sysctls, id mappings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstring>
#include <map>
#include <random>

#include "runtime/launch/container_plan.h"
#include "runtime/launch/namespaces.h"
#include "runtime/launch/sysctl.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

ContainerLaunch Launch() {
  ContainerLaunch launch;
  launch.spec.process.args = {"sh", "-c", "true"};
  launch.spec.process.env = {"PATH=/bin"};
  launch.overlay = OverlayRootfs{"/layers", {"2", "1"}, "/upper", "/work", true};
  launch.spec.mounts = {{"/proc", "proc", "proc", {"nosuid"}},
                        {"/mnt", "bind", "/source", {"rbind", "ro"}},
                        {"/etc/hosts", "bind", "/run/hosts", {"bind"}}};
  launch.spec.linux.masked_paths = {"/proc/kcore"};
  launch.join_namespaces = CLONE_NEWNET;
  return launch;
}

TEST(HostileLaunch, R10EveryTruncationAndSurplusOfAPlanIsRefused) {
  const auto plan = PlanContainer(Launch());
  ASSERT_OK(plan);
  const std::vector<std::byte> good(plan->bytes().begin(), plan->bytes().end());
  ASSERT_TRUE(ValidatePlan(good));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ValidatePlan(std::vector<std::byte>(good.begin(), good.begin() + static_cast<ptrdiff_t>(size))))
        << size;
  }
  std::vector<std::byte> longer = good;
  for (int i = 0; i < 64; ++i) {
    longer.push_back(std::byte{0});
    EXPECT_FALSE(ValidatePlan(longer)) << i;
  }
}

TEST(HostileLaunch, R10ALengthInTheHeaderThatIsNotTheTrueOneIsRefused) {
  const auto plan = PlanContainer(Launch());
  ASSERT_OK(plan);
  const std::vector<std::byte> good(plan->bytes().begin(), plan->bytes().end());
  PlanHeader header;
  std::memcpy(&header, good.data(), sizeof header);
  for (uint32_t PlanHeader::*length : {&PlanHeader::total_bytes, &PlanHeader::step_count, &PlanHeader::byte_count,
                                       &PlanHeader::argument_count, &PlanHeader::environment_count}) {
    for (const uint32_t change : {1U, 1U << 16, 1U << 31, ~0U, 0U - header.*length - 8}) {
      PlanHeader changed = header;
      changed.*length += change;
      std::vector<std::byte> wild = good;
      std::memcpy(wild.data(), &changed, sizeof changed);
      const bool shorter_list = (length == &PlanHeader::argument_count || length == &PlanHeader::environment_count) &&
                                changed.*length < header.*length;
      if (!shorter_list) {
        EXPECT_FALSE(ValidatePlan(wild)) << change;
      }
    }
  }
}

TEST(HostileLaunch, R10ALongSourceChangesNothingButItself) {
  ContainerLaunch launch = Launch();
  const auto plan = PlanContainer(launch);
  launch.spec.mounts[1].source = "/" + std::string(70'000, 'x');
  const auto long_plan = PlanContainer(launch);
  ASSERT_OK(plan);
  ASSERT_OK(long_plan);
  ASSERT_EQ(plan->view().steps().size(), long_plan->view().steps().size());
  for (size_t i = 0; i < plan->view().steps().size(); ++i) {
    const PlanStep& a = plan->view().steps()[i];
    const PlanStep& b = long_plan->view().steps()[i];
    EXPECT_EQ(std::tie(a.op, a.flags, a.fd, a.fd2, a.out, a.a, a.b, a.c),
              std::tie(b.op, b.flags, b.fd, b.fd2, b.out, b.a, b.b, b.c));
  }
  for (int i = 0; i < 10'000; ++i) launch.spec.mounts.push_back({"/m" + std::to_string(i), "bind", "/x", {}});
  EXPECT_FALSE(PlanContainer(launch)) << "too many mounts are refused, not cut";
}

struct Sysctl {
  std::string name, value;
};

TEST(HostileLaunch, C01FortyHostileSysctlsAreRefused) {
  const std::string ok = "net.ipv4.ip_forward";
  const Sysctl pairs[] = {
      {"kernel.core_pattern", "|/bin/sh"},
      {"kernel/core_pattern", "x"},
      {"kernel.modprobe", "/x"},
      {"kernel.sysrq", "1"},
      {"kernel.hostname", "x"},
      {"kernel.domainname", "x"},
      {"kernel.shm", "1\nkernel.core_pattern=x"},
      {"kernel.shmmax+kernel.core_pattern", "1"},
      {"kernel.shmmax=1+kernel.core_pattern", "x"},
      {"vm.overcommit_memory", "1"},
      {"vm.panic_on_oom", "1"},
      {"fs.file-max", "1"},
      {"fs.suid_dumpable", "2"},
      {"fs.mqueue", "1"},
      {"fs.mqueue.a.b", "1"},
      {"fs.mqueue/../../kernel/core_pattern", "x"},
      {"net", "1"},
      {"net.", "1"},
      {".net.ipv4", "1"},
      {"net..ipv4", "1"},
      {"net/../kernel/core_pattern", "x"},
      {"net/./ipv4", "1"},
      {"net//ipv4", "1"},
      {"/net/ipv4/ip_forward", "1"},
      {"net.ipv4.ip_forward/", "1"},
      {"NET.ipv4.ip_forward", "1"},
      {"net.ipv4.ip forward", "1"},
      {"net.ipv4.ip_forward\n", "1"},
      {"net.ipv4.ip_forward=1", "1"},
      {std::string("net.ipv4\0.x", 11), "1"},
      {"net.ipv4.\xc3\xa9", "1"},
      {"net.ipv4.*", "1"},
      {"", "1"},
      {"dev.cdrom.info", "1"},
      {"user.max_user_namespaces", "0"},
      {"kernel.shm.max", "1"},
      {ok, "1\n2"},
      {ok, std::string("1\0", 2)},
      {ok, "1\x1b[2J"},
      {ok, std::string(4097, '1')},
      {ok, "\xff"},
      {"net." + std::string(300, 'a'), "1"},
  };
  static_assert(std::size(pairs) >= 40);
  for (const Sysctl& pair : pairs) {
    const auto checked = CheckSysctl(pair.name, pair.value, {true, true, false});
    ASSERT_FALSE(checked) << pair.name << " = " << pair.value;
    EXPECT_EQ(checked.error().code(), ErrorCode::kInvalidArgument) << pair.name;
  }
  for (const char* name : {"net.ipv4.ip_forward", "net/ipv4/ip_forward", "kernel.shmmax", "kernel.msgmax", "kernel.sem",
                           "fs.mqueue.msg_max", "net.ipv4.conf.eth-0.rp_filter"}) {
    EXPECT_OK(CheckSysctl(name, "1 2+3=4", {true, true, false}));
  }
}

TEST(HostileLaunch, C02ASysctlOfANamespaceOfTheHostIsRefused) {
  for (const char* name : {"net.ipv4.ip_forward", "net/core/somaxconn"}) {
    EXPECT_FALSE(CheckSysctl(name, "1", {false, true, false})) << name;
  }
  for (const char* name : {"kernel.shmmax", "kernel.msgmnb", "kernel.sem", "fs.mqueue.msg_max"}) {
    EXPECT_FALSE(CheckSysctl(name, "1", {true, false, false})) << name;
  }
}

TEST(HostileLaunch, C19MappingsThatOverlapAreEmptyOrRunOverTheEndAreRefused) {
  const IdMappings good = {{0, 100'000, 65'536}};
  EXPECT_OK(CheckMappings({good, good}));
  const IdMappings bad[] = {
      {},
      {{0, 100'000, 0}},
      {{1, 100'000, 10}},
      {{0, 4'294'967'295, 1}},
      {{0, 4'294'967'290, 10}},
      {{4'294'967'295, 0, 1}, {0, 5, 1}},
      {{0, 0, 4'294'967'295}, {4'294'967'294, 5, 1}},
      {{0, 100, 10}, {9, 200, 10}},
      {{0, 100, 10}, {20, 109, 10}},
      {{0, 100, 10}, {0, 100, 10}},
      {{5, 100, 10}, {0, 200, 6}},
  };
  for (const IdMappings& mappings : bad) {
    EXPECT_FALSE(CheckMappings({mappings, good})) << IdMapText(mappings);
    EXPECT_FALSE(CheckMappings({good, mappings})) << IdMapText(mappings);
  }
}

// Small numbers at random: what is accepted is what a table of all ids says.
TEST(HostileLaunch, C19AcceptedMappingsNeverMapAnIdTwice) {
  std::mt19937 random(9);
  const auto next = [&](unsigned below) { return static_cast<uint32_t>(random() % below); };
  for (int round = 0; round < 20'000; ++round) {
    IdMappings mappings;
    for (int i = 0; i < 3; ++i) mappings.push_back({next(12), next(12), next(6)});
    bool fine = true;
    std::map<uint32_t, int> inside, outside;
    for (const IdMapping& mapping : mappings) {
      fine = fine && mapping.size > 0;
      for (uint32_t i = 0; i < mapping.size; ++i) {
        fine = fine && ++inside[mapping.container_id + i] == 1;
        fine = fine && ++outside[mapping.host_id + i] == 1;
      }
    }
    fine = fine && inside.contains(0);
    EXPECT_EQ(CheckMappings({mappings, {{0, 1, 1}}}).has_value(), fine) << IdMapText(mappings);
  }
}

}  // namespace
}  // namespace fermata::runtime
