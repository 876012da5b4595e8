// Fields of config.json that not every container has: read, written, read again; and what is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/spec/resources_json.h"
#include "runtime/spec/spec_json.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using ::testing::HasSubstr;

constexpr const char* kWhole =
    R"({"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "hostname": "h", "domainname": "d",
  "process": {"args": ["sh"], "cwd": "/", "terminal": true, "consoleSize": {"width": 80, "height": 25}},
  "annotations": {"a": "b"},
  "mounts": [{"destination": "/m", "type": "bind", "source": "/s", "options": ["rbind", "ridmap"],
              "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
              "gidMappings": [{"containerID": 3, "hostID": 4, "size": 5}]}],
  "hooks": {"prestart": [{"path": "/1"}], "createRuntime": [{"path": "/2", "args": ["2", "x"]}],
            "createContainer": [{"path": "/3", "env": ["A=b"]}], "startContainer": [{"path": "/4", "timeout": 5}],
            "poststart": [{"path": "/5"}], "poststop": [{"path": "/6"}]},
  "linux": {"namespaces": [{"type": "user"}, {"type": "time"}], "cgroupsPath": "/g", "rootfsPropagation": "shared",
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 20}],
    "sysctl": {"net.ipv4.ip_forward": "1"}, "mountLabel": "l",
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "listenerMetadata": "m"},
    "resources": {
      "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}],
      "memory": {"limit": 1, "reservation": 2, "swap": 3, "checkBeforeUpdate": true},
      "cpu": {"shares": 4, "quota": 5, "burst": 6, "period": 7, "cpus": "0", "mems": "1", "idle": 1},
      "pids": {"limit": 8},
      "blockIO": {"weight": 9, "weightDevice": [{"major": 1, "minor": 2, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 1, "minor": 2, "rate": 11}],
        "throttleWriteBpsDevice": [{"major": 1, "minor": 2, "rate": 12}],
        "throttleReadIOPSDevice": [{"major": 1, "minor": 2, "rate": 13}],
        "throttleWriteIOPSDevice": [{"major": 3, "minor": 4, "rate": 14}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 15}],
      "rdma": {"mlx": {"hcaHandles": 16, "hcaObjects": 17}},
      "unified": {"memory.high": "18"}}}})";

TEST(SpecFieldsTest, EveryFieldIsReadWrittenAndReadAgain) {
  const auto spec = SpecFromJson(kWhole);
  ASSERT_OK(spec);
  EXPECT_EQ(spec->process.console_width, 80);
  EXPECT_EQ(spec->process.console_height, 25);
  EXPECT_EQ(spec->domainname, "d");
  EXPECT_EQ(spec->mounts[0].uid_mappings[0].size, 2U);
  EXPECT_EQ(spec->mounts[0].gid_mappings[0].container_id, 3U);
  EXPECT_EQ(spec->hooks.prestart[0].path, "/1");
  EXPECT_EQ(spec->hooks.create_runtime[0].args[1], "x");
  EXPECT_EQ(spec->hooks.create_container[0].env[0], "A=b");
  EXPECT_EQ(spec->hooks.start_container[0].timeout_seconds, 5);
  EXPECT_EQ(spec->hooks.poststart[0].path, "/5");
  EXPECT_EQ(spec->hooks.poststop[0].path, "/6");
  EXPECT_EQ(spec->linux.memory_policy->nodes, "0-1");
  EXPECT_EQ(spec->linux.seccomp->listener_path, "/agent");
  EXPECT_EQ(spec->linux.seccomp->listener_metadata, "m");
  const cgroups::Resources& limits = spec->linux.resources;
  EXPECT_EQ(limits.memory_limit_bytes, 1);
  EXPECT_EQ(limits.swap_limit_bytes, 3);
  EXPECT_EQ(limits.cpu_burst_us, 6U);
  EXPECT_EQ(limits.cpu_idle, true);
  EXPECT_EQ(limits.pids_limit, 8);
  EXPECT_EQ(limits.io_device_weights.size(), 1U);
  ASSERT_EQ(limits.io_limits.size(), 2U) << "an entry a device";
  EXPECT_EQ(limits.io_limits[0].read_operations, 13U);
  EXPECT_EQ(limits.hugepage_limits.at("2MB"), 15U);
  EXPECT_EQ(limits.rdma_limits.at("mlx").objects, 17U);
  EXPECT_EQ(limits.unified.at("memory.high"), "18");
  EXPECT_EQ(spec->linux.device_rules.size(), 2U);
  const auto again = SpecFromJson(SpecToJson(*spec));
  ASSERT_OK(again);
  EXPECT_EQ(*again, *spec);
}

void ExpectLinuxRefused(const std::string& part, const std::string& text) {
  const auto spec = SpecFromJson(
      R"({"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "linux": )" + part +
      "}");
  ASSERT_FALSE(spec) << part;
  EXPECT_EQ(spec.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(spec.error().message(), HasSubstr(text));
}

TEST(SpecFieldsTest, WhatOnlyControlGroupsV1HaveIsRefused) {
  const auto refused = [](const std::string& resources, const std::string& path) {
    ExpectLinuxRefused(R"({"resources": )" + resources + "}", path);
  };
  refused(R"({"memory": {"kernel": 1}})", "linux.resources.memory.kernel");
  refused(R"({"memory": {"kernelTCP": 1}})", "linux.resources.memory.kernelTCP");
  refused(R"({"memory": {"swappiness": 1}})", "linux.resources.memory.swappiness");
  refused(R"({"memory": {"disableOOMKiller": true}})", "linux.resources.memory.disableOOMKiller");
  refused(R"({"cpu": {"realtimeRuntime": 1}})", "linux.resources.cpu.realtimeRuntime");
  refused(R"({"cpu": {"realtimePeriod": 1}})", "linux.resources.cpu.realtimePeriod");
  refused(R"({"blockIO": {"leafWeight": 1}})", "linux.resources.blockIO.leafWeight");
  refused(R"({"network": {"classID": 1}})", "linux.resources.network.classID");
  refused(R"({"network": {"priorities": [{"name": "eth0", "priority": 1}]}})", "linux.resources.network.priorities");
  refused(R"({"devices": [{"allow": true, "type": "x"}]})", "linux.resources.devices.type");
}

TEST(SpecFieldsTest, WhatIsLeftToOthersIsRefusedWithTheReason) {
  ExpectLinuxRefused(R"({"intelRdt": {"closID": "x"}})", "resctrl groups are left to the administrator");
  ExpectLinuxRefused(R"({"netDevices": {"eth0": {"name": "x"}}})", "moved by the network's plugin");
  ExpectLinuxRefused(R"({"personality": {"domain": "LINUX", "flags": ["X"]}})", "linux.personality.flags");
}

TEST(SpecFieldsTest, ZeroesOfWritersThatFillInEveryFieldAreNoLimits) {
  const auto read = ResourcesFromJson(R"({"memory": {"limit": 0, "swap": 0, "kernel": 0}, "pids": {"limit": 0},
    "cpu": {"shares": 0, "realtimeRuntime": 0}, "blockIO": {"weight": 0, "leafWeight": 0}})");
  ASSERT_OK(read);
  EXPECT_EQ(read->limits, cgroups::Resources());
}

TEST(SpecFieldsTest, HooksNeedAnAbsolutePathAndATimeoutThatIsOne) {
  const auto parse = [](const std::string& hook) {
    return SpecFromJson(
        R"({"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "hooks": {"prestart": [)" +
        hook + "]}}");
  };
  EXPECT_OK(parse(R"({"path": "/x", "timeout": 1})"));
  EXPECT_FALSE(parse(R"({"path": "x"})"));
  EXPECT_FALSE(parse(R"({"args": ["x"]})"));
  EXPECT_FALSE(parse(R"({"path": "/x", "timeout": 0})"));
  EXPECT_FALSE(parse(R"({"path": "/x", "timeout": -1})"));
}

}  // namespace
}  // namespace fermata::runtime
