// Which change of a record is which event.
#include "sandbox/events/event.h"

#include <gtest/gtest.h>

#include "tests/sandbox/events/records.h"

namespace fermata::sandbox {
namespace {

// "C", "S", "T", "D" for created, started, stopped, deleted.
std::string Letters(const std::vector<Event>& events) {
  std::string letters;
  for (const Event& event : events) letters += "CSTD"[static_cast<int>(event.type)];
  return letters;
}

std::string OfSandbox(SandboxPtr before, SandboxPtr after) {
  RecordChange change;
  change.sandbox_before = std::move(before);
  change.sandbox_after = std::move(after);
  return Letters(EventsOf(change, 1));
}

std::string OfContainer(ContainerPtr before, ContainerPtr after) {
  return Letters(EventsOf(ContainerChange(std::move(before), std::move(after)), 1));
}

TEST(EventsOf, TellsOfASandboxFromTheMomentWhenItIsReady) {
  const auto intent = MakeSandbox("s", SandboxState::kCreating);
  const auto ready = MakeSandbox("s", SandboxState::kReady);
  const auto stopped = MakeSandbox("s", SandboxState::kNotReady);
  EXPECT_EQ(OfSandbox(nullptr, intent), "");
  EXPECT_EQ(OfSandbox(intent, nullptr), "") << "it was never there";
  EXPECT_EQ(OfSandbox(intent, ready), "CS");
  EXPECT_EQ(OfSandbox(ready, ready), "");
  EXPECT_EQ(OfSandbox(ready, stopped), "T");
  EXPECT_EQ(OfSandbox(stopped, nullptr), "D");
  EXPECT_EQ(OfSandbox(nullptr, nullptr), "");
}

TEST(EventsOf, TellsOfAContainersLife) {
  const auto created = MakeContainer("c", "s", ContainerState::kCreated);
  const auto running = MakeContainer("c", "s", ContainerState::kRunning);
  const auto exited = MakeContainer("c", "s", ContainerState::kExited, "Error");
  const auto failed = MakeContainer("c", "s", ContainerState::kExited, "StartError");
  EXPECT_EQ(OfContainer(nullptr, created), "C");
  EXPECT_EQ(OfContainer(created, running), "S");
  EXPECT_EQ(OfContainer(running, running), "");
  EXPECT_EQ(OfContainer(running, exited), "T");
  EXPECT_EQ(OfContainer(exited, exited), "");
  EXPECT_EQ(OfContainer(exited, nullptr), "D");
  EXPECT_EQ(OfContainer(created, nullptr), "D");
  EXPECT_EQ(OfContainer(created, exited), "ST") << "the exit was recorded before the start";
  EXPECT_EQ(OfContainer(created, failed), "T") << "it never ran";
}

TEST(EventsOf, CarriesWhatIsThereAfterTheChange) {
  const auto exited = MakeContainer("c", "s", ContainerState::kExited);
  const auto events = EventsOf(ContainerChange(exited, nullptr), 77);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].id, "c");
  EXPECT_FALSE(events[0].of_sandbox);
  EXPECT_EQ(events[0].created_at_ns, 77);
  EXPECT_TRUE(events[0].containers.empty());
  ASSERT_NE(events[0].sandbox, nullptr);
  EXPECT_EQ(events[0].owner, Owner::kCri);
}

TEST(EventsOf, GivesARemovedSandboxItsOwnerButNoStatus) {
  const auto sandbox = MakeSandbox("s", SandboxState::kNotReady);
  sandbox->spec.owner = Owner::kPods;
  RecordChange change;
  change.sandbox_before = sandbox;
  const auto events = EventsOf(change, 1);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].id, "s");
  EXPECT_TRUE(events[0].of_sandbox);
  EXPECT_EQ(events[0].sandbox, nullptr);
  EXPECT_EQ(events[0].owner, Owner::kPods);
}

}  // namespace
}  // namespace fermata::sandbox
