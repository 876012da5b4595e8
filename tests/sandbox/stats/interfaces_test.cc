#include "sandbox/stats/interfaces.h"

#include <gtest/gtest.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::sandbox::stats {
namespace {

const std::string kHead =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n";
const std::string kLo = "    lo: 100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0\n";
const std::string kEth =
    "  eth0:123456      78 1    2    0     0          0         0    9999      55 3    4    0     0       0          "
    "0\n";

TEST(ParseNetDev, ReadsCountersOfBothDirections) {
  const auto interfaces = ParseNetDev(kHead + kLo + kEth + " net1: 1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0\n");
  ASSERT_EQ(interfaces.size(), 2U);
  EXPECT_EQ(interfaces[0].name, "eth0");
  EXPECT_EQ(interfaces[0].received, (TrafficCounters{123456, 78, 1, 2}));
  EXPECT_EQ(interfaces[0].sent, (TrafficCounters{9999, 55, 3, 4}));
  EXPECT_EQ(DefaultInterface(interfaces)->name, "eth0");
}

TEST(ParseNetDev, KeepsLoWhereThereIsNothingElse) {
  const auto interfaces = ParseNetDev(kHead + kLo);
  ASSERT_EQ(interfaces.size(), 1U);
  EXPECT_EQ(DefaultInterface(interfaces)->name, "lo");
  EXPECT_EQ(DefaultInterface({}), nullptr);
}

TEST(ParseNetDev, SurvivesTextThatIsNone) {
  for (const char* text : {"", "\n", ":", "eth0:", "eth0: 1 2 3", ": 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "eth0: x"}) {
    EXPECT_TRUE(ParseNetDev(text).empty()) << text;
  }
}

TEST(ReadInterfaces, SaysThatTheProcessHasEnded) {
  const cgroups::FakeGroup process({{"net/dev", kHead + kEth}});
  const UniqueFd here(::open(process.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(ReadInterfaces(here.get())->size(), 1U);
  std::filesystem::remove_all(process.path() / "net");
  EXPECT_TRUE(cgroups::FailsWith(ErrorCode::kNotFound, ReadInterfaces(here.get())));
}

}  // namespace
}  // namespace fermata::sandbox::stats
