// Whom failures are blamed on.
#include "sandbox/probe/flight_judgement.h"

#include <gmock/gmock.h>

namespace fermata::sandbox::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;

Flight Calm(Outcome outcome) {
  Flight flight;
  flight.outcome = outcome;
  flight.since = seconds(10);
  flight.throttled_us = 1000;
  flight.cpu = flight.memory = flight.io = Waiting{1, 0};
  return flight;
}
Flight Late(Outcome outcome) {
  Flight flight = Calm(outcome);
  flight.lateness = milliseconds(1500);
  return flight;
}
Flight Throttled(Outcome outcome) {
  Flight flight = Calm(outcome);
  flight.throttled_us = 4'000'000;
  flight.cpu = Waiting{90, 80};
  return flight;
}

std::vector<Flight> Several(size_t good, size_t bad) {
  std::vector<Flight> flights(good, Calm(Outcome::kSuccess));
  flights.insert(flights.end(), bad, Calm(Outcome::kFailure));
  return flights;
}

TEST(Judge, NothingFailed) {
  EXPECT_EQ(Judge({}).text, "it has not run yet");
  EXPECT_EQ(Judge(Several(5, 0)).blame, Blame::kNobody);
  EXPECT_EQ(Judge(Several(5, 0)).text, "0 of 5 runs failed");
  EXPECT_EQ(Judge({Calm(Outcome::kWarning)}).blame, Blame::kNobody);
  EXPECT_EQ(Judge({Late(Outcome::kSuccess)}).blame, Blame::kNobody);
}

TEST(Judge, FailuresInCalmAreTheApplications) {
  const Judgement judgement = Judge(Several(5, 3));
  EXPECT_EQ(judgement.blame, Blame::kApplication);
  EXPECT_EQ(judgement.text, "3 of 8 runs failed, while nothing had to wait: the application failed");
}

TEST(Judge, FailuresWithALateProberAreTheMachines) {
  std::vector<Flight> flights = Several(5, 0);
  flights.insert(flights.end(), 2, Late(Outcome::kFailure));
  const Judgement judgement = Judge(flights);
  EXPECT_EQ(judgement.blame, Blame::kStarved);
  EXPECT_EQ(judgement.text,
            "2 of 7 runs failed; in 2 the prober began late: starved by the machine or the limit, not by the "
            "application");
}

TEST(Judge, ALimitIsToldFromTheMachine) {
  std::vector<Flight> flights = Several(3, 0);
  flights.push_back(Throttled(Outcome::kFailure));
  EXPECT_THAT(Judge(flights).text, HasSubstr("; in 1 its CPU limit held the container back: starved"));
  flights.back().throttled_us = 0;
  EXPECT_THAT(Judge(flights).text, HasSubstr("; in 1 the container waited for the machine's processors: starved"));
  flights.back() = Calm(Outcome::kFailure);
  flights.back().memory->some = flights.back().io->some = 50;
  EXPECT_THAT(Judge(flights).text,
              HasSubstr("in 1 the container waited for memory, in 1 the container waited for disks"));
}

TEST(Judge, AFewSignsDoNotExcuseTheApplication) {
  std::vector<Flight> flights = Several(5, 3);
  flights.push_back(Late(Outcome::kFailure));
  EXPECT_EQ(Judge(flights).blame, Blame::kApplication);
  EXPECT_THAT(Judge(flights).text,
              EndsWith("in 1 the prober began late, in the others nothing: the application failed"));
}

TEST(Judge, SignsThatSuccessesShowTooTellNothing) {
  std::vector<Flight> flights(5, Throttled(Outcome::kSuccess));
  flights.push_back(Throttled(Outcome::kFailure));
  EXPECT_EQ(Judge(flights).blame, Blame::kUnclear);
  EXPECT_THAT(Judge(flights).text, HasSubstr("in 5 of 5 that succeeded, too"));
  flights = {Late(Outcome::kFailure), Late(Outcome::kFailure)};
  EXPECT_EQ(Judge(flights).blame, Blame::kStarved) << "there are no successes to compare with";
}

TEST(Judge, WhatIsNotKnownIsNoSign) {
  Flight flight;
  flight.outcome = Outcome::kFailure;
  EXPECT_EQ(Judge({flight}).blame, Blame::kApplication);
}

TEST(Judge, AProbeThatDoesNotWorkIsNobodysFault) {
  EXPECT_EQ(Judge({Calm(Outcome::kError), Calm(Outcome::kSuccess)}).blame, Blame::kProbe);
  EXPECT_EQ(Judge({Calm(Outcome::kError), Calm(Outcome::kFailure)}).blame, Blame::kApplication);
}

}  // namespace
}  // namespace fermata::sandbox::probe
