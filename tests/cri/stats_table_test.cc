// Rates and the table of `fermata stats`.
#include "cri/cli/stats_table.h"

#include <gmock/gmock.h>

namespace fermata::cri::cli {
namespace {

using ::testing::HasSubstr;

fv1::StatsResponse Answer(int64_t seconds, uint64_t cpu_nanos) {
  fv1::StatsResponse response;
  response.set_memory_total_bytes(4'000'000'000);
  fv1::ContainerUsage& one = *response.add_containers();
  one.set_id("0123456789abcdef");
  one.set_name("c\x1b[31m");
  one.set_pod("default/web");
  one.set_time_unix_nanos(seconds * 1'000'000'000);
  one.set_cpu_nanos(cpu_nanos);
  one.set_memory_bytes(1'000'000'000);
  one.set_pids(3);
  return response;
}

TEST(UsageRows, ARateIsTheDifferenceOfTwoAnswers) {
  const auto before = Answer(10, 1'000'000'000);
  EXPECT_EQ(UsageRows(nullptr, before).at(0).cpu_percent, std::nullopt);
  EXPECT_DOUBLE_EQ(*UsageRows(&before, Answer(12, 4'000'000'000)).at(0).cpu_percent, 150);
  EXPECT_EQ(UsageRows(&before, Answer(12, 5)).at(0).cpu_percent, std::nullopt) << "another group of the same name";
  EXPECT_EQ(UsageRows(&before, before).at(0).cpu_percent, std::nullopt) << "no time has passed";
}

TEST(UsageRows, TheLimitIsTheMachineWhereThereIsNone) {
  auto answer = Answer(1, 0);
  EXPECT_DOUBLE_EQ(UsageRows(nullptr, answer).at(0).memory_percent, 25);
  answer.mutable_containers(0)->set_memory_limit_bytes(2'000'000'000);
  EXPECT_DOUBLE_EQ(UsageRows(nullptr, answer).at(0).memory_percent, 50);
}

TEST(UsageTable, ShowsDashesForWhatIsNotKnownAndNoControlBytes) {
  const std::string text = UsageTable(UsageRows(nullptr, Answer(1, 0)));
  EXPECT_THAT(text, HasSubstr("0123456789ab  default/web  c\\x1b[31m"));
  EXPECT_THAT(text, HasSubstr("1.0 GB / 4.0 GB    25.00%  -- / --"));
  const Json json = UsageJson(UsageRows(nullptr, Answer(1, 0)));
  EXPECT_TRUE(json.at(0).at("cpu_percent").is_null());
  EXPECT_EQ(json.at(0).at("pids"), 3);
}

}  // namespace
}  // namespace fermata::cri::cli
