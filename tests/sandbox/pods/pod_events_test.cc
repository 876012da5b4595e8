// Events of pods: what counts as the same, what is kept, and what a reader finds.
#include "sandbox/pods/pod_events.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace fermata::sandbox::pods {
namespace {

SandboxSpec Named(const std::string& name) {
  SandboxSpec spec;
  spec.name = name;
  spec.name_space = "default";
  return spec;
}

class PodEventsTest : public ::testing::Test {
 protected:
  void Tell(const std::string& pod, const std::string& message, const std::string& container = "c") {
    events_.Record(SandboxId(pod), Named(pod), {EventType::kNormal, "Reason", message, container});
    ++now_;
  }
  std::vector<std::string> Messages(const std::string& pod = "") {
    std::vector<std::string> messages;
    const SandboxId id(pod);
    for (const PodEvent& event : events_.After(0, pod.empty() ? nullptr : &id)) messages.push_back(event.text.message);
    return messages;
  }

  int64_t now_ = 100;
  PodEvents events_{[this] { return now_; }, {.of_a_pod = 3, .in_all = 5, .message_bytes = 10}};
};

TEST_F(PodEventsTest, TheSameAgainCountsAndComesLast) {
  Tell("a", "one");
  Tell("a", "two");
  Tell("a", "one");
  const std::vector<PodEvent> all = events_.After(0, nullptr);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].text.message, "one");
  EXPECT_EQ(all[1].count, 2U);
  EXPECT_EQ(all[1].first_ns, 100);
  EXPECT_EQ(all[1].last_ns, 102);
  EXPECT_EQ(events_.After(all[0].number, nullptr).size(), 1U) << "a reader sees that it has happened again";
  EXPECT_TRUE(events_.After(all[1].number, nullptr).empty());
}

TEST_F(PodEventsTest, PodsContainersAndWordsAreKeptApart) {
  Tell("a", "one", "c");
  Tell("a", "one", "d");
  Tell("b", "one", "c");
  events_.Record(SandboxId("b"), Named("b"), {EventType::kWarning, "Reason", "one", "c"});
  EXPECT_EQ(Messages().size(), 4U);
  EXPECT_EQ(Messages("b").size(), 2U);
}

TEST_F(PodEventsTest, APodHasItsShareAndAllTogetherHaveTheirs) {
  for (const char* message : {"1", "2", "3", "4"}) Tell("a", message);
  EXPECT_EQ(Messages("a"), (std::vector<std::string>{"2", "3", "4"}));
  for (const char* message : {"1", "2", "3"}) Tell("b", message);
  EXPECT_EQ(Messages(), (std::vector<std::string>{"3", "4", "1", "2", "3"}));
}

TEST_F(PodEventsTest, APodThatHasGoneIsForgotten) {
  Tell("a", "one");
  Tell("b", "one");
  events_.Forget(SandboxId("a"));
  EXPECT_TRUE(Messages("a").empty());
  EXPECT_EQ(Messages().size(), 1U);
}

TEST_F(PodEventsTest, TextIsOneLineThatMayBeShown) {
  Tell("a", "x\ny \n\n");
  EXPECT_EQ(Messages().back(), "x y");
  Tell("a", "\x1b[2J\xff");
  EXPECT_EQ(Messages().back(), "\\x1b[2J\\xff");
  Tell("a", "123456789\xc3\xb6");
  EXPECT_EQ(Messages().back(), "123456789...") << "no half of a character";
  Tell("a", "");
  EXPECT_EQ(Messages().back(), "");
}

TEST_F(PodEventsTest, WhoListensIsWoken) {
  const ChangeNotifier::Listener listener(events_.changes());
  Tell("a", "one");
  pollfd wait{listener.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 0), 1);
}

TEST_F(PodEventsTest, AnEventMayHaveHappenedBefore) {
  events_.Record(SandboxId("a"), Named("a"), {EventType::kNormal, "Pulled", "image", "c"}, 7);
  EXPECT_EQ(events_.After(0, nullptr).at(0).first_ns, 7);
}

}  // namespace
}  // namespace fermata::sandbox::pods
