#include "trainer/core/team.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "trainer/core/error.h"

namespace trainer {
namespace {

TEST(Team, RunsEveryUnitOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    const Team team(threads);
    EXPECT_EQ(team.size(), threads);
    for (const std::int64_t units : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(units));
      std::atomic<int> bad_threads{0};
      team.run(units, [&](std::int64_t unit, int thread) {
        ++runs[static_cast<std::size_t>(unit)];
        if (thread < 0 || thread >= threads) ++bad_threads;
      });
      for (const std::atomic<int>& count : runs)
        ASSERT_EQ(count, 1) << threads << " threads, " << units << " units";
      EXPECT_EQ(bad_threads, 0);
    }
  }
}

TEST(Team, NoTwoThreadsShareANumber) {
  constexpr int kThreads = 3;
  std::vector<std::atomic<int>> busy(kThreads);
  std::atomic<int> clashes{0};
  Team(kThreads).run(2000, [&](std::int64_t, int thread) {
    if (busy[static_cast<std::size_t>(thread)].exchange(1) != 0) ++clashes;
    std::this_thread::yield();
    busy[static_cast<std::size_t>(thread)] = 0;
  });
  EXPECT_EQ(clashes, 0);
}

TEST(Team, AllThreadsTakePartWhenUnitsWaitForEachOther) {
  constexpr int kThreads = 4;
  std::atomic<int> arrived{0};
  Team(kThreads).run(kThreads, [&](std::int64_t, int) {
    ++arrived;
    while (arrived < kThreads) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, kThreads);
}

TEST(Team, CarriesAnExceptionOutAndEndsEarly) {
  for (const int threads : {1, 2, 3}) {
    const Team team(threads);
    std::atomic<std::int64_t> runs{0};
    const auto work = [&](std::int64_t unit, int) {
      ++runs;
      if (unit == 5) fail(ErrorKind::numeric, "unit 5");
    };
    try {
      team.run(1 << 30, work);
      FAIL() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::numeric);
      EXPECT_STREQ(error.what(), "unit 5");
    }
    EXPECT_LT(runs, 1 << 30);
    runs = 0;
    team.run(5, work);
    EXPECT_EQ(runs, 5) << "the team is as good as new";
  }
}

TEST(Team, OnlyTheFirstOfManyExceptionsIsThrown) {
  EXPECT_THROW(Team(3).run(100, [](std::int64_t, int) { throw std::runtime_error("each"); }),
               std::runtime_error);
}

TEST(Team, PollsBetweenUnitsOnTheCallingThread) {
  for (const int threads : {1, 3}) {
    Team team(threads);
    const std::thread::id caller = std::this_thread::get_id();
    int polls = 0;  // not atomic: one thread only
    int strangers = 0;
    std::atomic<int> own_units{0};
    team.set_poll([&] {
      ++polls;
      strangers += std::this_thread::get_id() == caller ? 0 : 1;
    });
    team.run(200, [&](std::int64_t, int thread) {
      if (thread == 0) ++own_units;
      std::this_thread::yield();
    });
    EXPECT_GE(polls, own_units);
    EXPECT_EQ(strangers, 0);
  }
}

/// The helper's unit ends only when the caller, long out of units, has polled again: a hang if it does not.
TEST(Team, PollsWhileOthersStillWork) {
  Team team(2);
  std::atomic<int> polls{0};
  std::atomic<bool> helper_works{false};
  team.set_poll([&] { ++polls; });
  team.run(2, [&](std::int64_t, int thread) {
    if (thread == 0) {
      while (!helper_works) std::this_thread::yield();
      return;
    }
    helper_works = true;
    while (polls < 10) std::this_thread::yield();
  });
  EXPECT_GE(polls, 10);
}

TEST(Team, CarriesAnExceptionOfPollOut) {
  for (const int threads : {1, 2}) {
    Team team(threads);
    std::atomic<bool> caller_works{false};
    team.set_poll([] { throw std::runtime_error("poll"); });
    const auto work = [&](std::int64_t, int thread) {
      if (thread == 0) caller_works = true;
      while (!caller_works) std::this_thread::yield();
    };
    EXPECT_THROW(team.run(10, work), std::runtime_error);
  }
}

TEST(Team, RefusesToBeEmpty) {
  EXPECT_THROW(Team(0), Error);
  EXPECT_THROW(Team(-1), Error);
}

TEST(Team, UnnamedTeamsAreSerialAndOursAreNot) {
  omp_set_num_threads(3);
  make_unnamed_teams_serial();
  int unnamed = 0;
#pragma omp parallel
#pragma omp single
  unnamed = omp_get_num_threads();
  EXPECT_EQ(unnamed, 1);
  std::atomic<int> arrived{0};
  Team(2).run(2, [&](std::int64_t, int) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

}  // namespace
}  // namespace trainer
