// The text that Prometheus reads.
#include "cri/metrics_page.h"

#include <gmock/gmock.h>

#include "cri/process_facts.h"

namespace fermata::cri {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsText, HasCumulatedBucketsAndEscapedLabels) {
  metrics::Family family(metrics::Kind::kHistogram, "test_duration_seconds", "how long", {"name"});
  family.With({"a\"b\n"}).Observe(std::chrono::milliseconds(2));
  family.With({"a\"b\n"}).Observe(std::chrono::milliseconds(20));
  const std::string text = MetricsText({family.Read()});
  EXPECT_THAT(text, HasSubstr("# TYPE test_duration_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("test_duration_seconds_count{name=\"a\\\"b\\n\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("test_duration_seconds_bucket{name=\"a\\\"b\\n\",le=\"0.0025\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("test_duration_seconds_bucket{name=\"a\\\"b\\n\",le=\"+Inf\"} 2\n"));
}

TEST(MetricsText, LeavesOutAFamilyWithoutSeries) {
  const metrics::Family family(metrics::Kind::kCounter, "test_total", "none", {"name"});
  EXPECT_THAT(MetricsText({family.Read()}), Not(HasSubstr("test_total")));
}

TEST(ProcessFacts, AreThoseOfThisProcess) {
  const ProcessFacts facts = ReadProcessFacts();
  EXPECT_GT(facts.resident_bytes, uint64_t{1} << 20);
  EXPECT_GE(facts.virtual_bytes, facts.resident_bytes);
  EXPECT_GE(facts.open_fds, 3U);
  EXPECT_GE(facts.max_fds, facts.open_fds);
  EXPECT_GE(facts.threads, 1U);
  EXPECT_GT(facts.start_time_seconds, 1.6e9);
  EXPECT_GT(ProportionalBytes(), 0U);
  EXPECT_FALSE(OpenFilesByKind().empty());
}

}  // namespace
}  // namespace fermata::cri
