#include "trainer/study/trials.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "trainer/core/random.h"

namespace trainer::study {
namespace {

using Train = std::function<Record(const Trial&)>;

/// Steps to the goal are fewest at log10(rate) = `best`; above 10 times that rate it diverges.
Train valley(double best) {
  return [best](const Trial& trial) {
    Record record;
    const double off = std::log10(std::stod(trial.settings[0].second)) - best;
    if (off > 1) {
      record.outcome = "diverged";
      record.best = std::numeric_limits<double>::quiet_NaN();
      return record;
    }
    record.best = 1 - 0.01 * off * off;
    record.outcome = "budget";
    if (std::abs(off) < 1.5) {
      record.outcome = "goal";
      record.goal_step =
          100 + static_cast<std::int64_t>(1000 * off * off) + static_cast<std::int64_t>(trial.seed);
    }
    return record;
  };
}

/// All trials, in an order that the seed shuffles.
Search run(const Space& space, const SearchRules& rules, const Aim& aim, const Train& train, Records& records,
           std::uint64_t order) {
  RandomStream random(RandomKey(order, Purpose::study), 1);
  while (true) {
    Search search(space, rules, aim, 64, records);
    std::vector<const Trial*> open;
    for (const Trial& trial : search.trials())
      if (!records.contains(trial.id)) open.push_back(&trial);
    if (open.empty()) {
      EXPECT_TRUE(search.is_complete());
      return search;
    }
    EXPECT_FALSE(search.is_complete());
    const Trial& next = *open[random.below(open.size())];
    records[next.id] = train(next);
  }
}

const Aim kGoal{.has_goal = true, .larger_is_better = true};

double best_rate(const Space& space, const Search& search) {
  return std::log10(std::stod(space.settings(search.best_places())[0].second));
}

TEST(Search, FindsTheValleyAndDoesNotDependOnTheOrderOfTrials) {
  const Space space("--tune", "lr=log(1e-4,1)");
  Records records, others;
  const Search search = run(space, {}, kGoal, valley(-2), records, 1);
  const Search other = run(space, {}, kGoal, valley(-2), others, 2);
  EXPECT_NEAR(best_rate(space, search), -2, 0.06);
  EXPECT_EQ(search.widened(), 0);
  EXPECT_TRUE(search.on_edge().empty());
  EXPECT_EQ(search.measurements().size(), 3U);
  ASSERT_EQ(search.trials().size(), other.trials().size());
  EXPECT_EQ(search.trials().size(), 20U + 5 + 2 * 3);
  for (std::size_t i = 0; i < search.trials().size(); ++i)
    EXPECT_EQ(search.trials()[i].id, other.trials()[i].id);
  EXPECT_EQ(search.best_point(), other.best_point());
}

TEST(Search, WidensTheRangeWhereTheBestLiesOnItsEdge) {
  for (const double best : {-5.0, 1.5}) {
    const Space space("--tune", "lr=log(1e-4,1)");
    Records records;
    const Search search = run(space, {}, kGoal, valley(best), records, 1);
    EXPECT_GE(search.widened(), 1);
    EXPECT_NEAR(best_rate(space, search), best, 0.3);
    EXPECT_TRUE(search.on_edge().empty());
  }
}

TEST(Search, AnEdgeThatIsNoBetterThanWithinIsNone) {
  // All rates meet the goal at the same evaluation; the largest overshoots it most.
  const Space space("--tune", "lr=log(1e-4,1)");
  const Train train = [](const Trial& trial) {
    return Record{
        .outcome = "goal", .goal_step = 10, .best = std::stod(trial.settings[0].second), .message = ""};
  };
  Records records;
  const Search search = run(space, {}, kGoal, train, records, 1);
  EXPECT_EQ(search.widened(), 0);
  EXPECT_TRUE(search.on_edge().empty());
}

TEST(Search, ATrialThatDivergesIsNeverTheBest) {
  // The larger the rate, the better it looks, until it is not finite.
  const Train train = [](const Trial& trial) {
    Record record{.outcome = "budget", .message = ""};
    record.best = std::stod(trial.settings[0].second);
    if (record.best > 0.1) record.outcome = "diverged";
    return record;
  };
  const Space space("--tune", "lr=log(1e-4,1)");
  Records records;
  const Search search = run(space, {}, {.has_goal = false, .larger_is_better = true}, train, records, 1);
  EXPECT_LE(best_rate(space, search), -1);
  EXPECT_GT(best_rate(space, search), -1.2);
  EXPECT_EQ(search.measurements().front().outcome, "budget");
}

TEST(Search, TheLastWaveHidesNoEdge) {
  // The best is as large as can be, and the last wave, just inside of the edge, is lucky.
  const Train train = [](const Trial& trial) {
    Record record{.outcome = "budget", .message = ""};
    record.best = std::log10(std::stod(trial.settings[0].second)) + (trial.point >= 20 ? 0.3 : 0);
    return record;
  };
  const Space space("--vary", "lr=log(1e-4,1)");
  Records records;
  const Search search =
      run(space, {.widenings = 0}, {.has_goal = false, .larger_is_better = true}, train, records, 1);
  EXPECT_GE(search.best_point(), 20);
  EXPECT_EQ(search.on_edge(), std::vector<std::string>{"lr"});
}

TEST(Search, AGridThatIsTooLargeIsTriedAllOver) {
  const Space space("--vary", "lr=list(1,2,3,4,5,6) hidden=list(1,2,3,4,5)");
  Records records;
  const Search search = run(space, {.points = 10}, kGoal, valley(-2), records, 1);
  std::set<double> first, second;
  for (const Point& point : search.points()) {
    first.insert(point.places[0]);
    second.insert(point.places[1]);
  }
  EXPECT_EQ(search.points().size(), 10U);
  EXPECT_EQ(first.size(), 6U);
  EXPECT_EQ(second.size(), 5U);
}

TEST(Search, EqualSettingsAreMeasuredOnce) {
  const Space space("--vary", "hidden=whole(1,3)");
  const Train train = [](const Trial& trial) {
    return Record{.outcome = "budget", .best = std::stod(trial.settings[0].second), .message = ""};
  };
  Records records;
  const Search search = run(space, {.points = 12, .widenings = 0, .finalists = 3},
                            {.has_goal = false, .larger_is_better = true}, train, records, 1);
  std::set<std::string> measured;
  for (const Trial& trial : search.trials())
    if (trial.measured) measured.insert(trial.settings[0].second);
  EXPECT_EQ(measured.size(), 3U);
}

TEST(Search, SaysWhenTheEdgeIsNotReachedByWidening) {
  const Space space("--tune", "lr=log(1e-4,1e-3)");
  Records records;
  const Search search = run(space, {.widenings = 1}, kGoal, valley(3), records, 1);
  EXPECT_EQ(search.widened(), 1);
  EXPECT_EQ(search.on_edge(), std::vector<std::string>{"lr"});
}

TEST(Search, WhereAllDivergeItGoesDown) {
  const Space space("--tune", "lr=log(1,100)");
  Records records;
  const Search search = run(space, {.widenings = 5}, kGoal, valley(-2), records, 1);
  EXPECT_NEAR(best_rate(space, search), -2, 0.5);
}

TEST(Search, HalvingTrainsFewToTheEnd) {
  const Space space("--tune", "lr=log(1e-4,1)");
  const Train train = [whole = valley(-2)](const Trial& trial) {
    Record record = whole(trial);
    if (trial.rung >= 0) record.goal_step = -1;  // too early for a goal
    return record;
  };
  Records records;
  const Search search = run(space, {.rungs = 3}, kGoal, train, records, 1);
  EXPECT_NEAR(best_rate(space, search), -2, 0.2);
  const auto of_rung = [&](std::int64_t rung) {
    return std::ranges::count_if(search.trials(),
                                 [&](const Trial& one) { return !one.measured && one.rung == rung; });
  };
  EXPECT_EQ(of_rung(0), 20 + 5);
  EXPECT_EQ(of_rung(1), 7 + 2);
  EXPECT_EQ(of_rung(-1), 3 + 1);
}

TEST(Search, WithoutAGoalTheBestMetricCounts) {
  const Space space("--tune", "lr=log(1e-4,1)");
  for (const bool larger : {true, false}) {
    const Train train = [&, whole = valley(-3)](const Trial& trial) {
      Record record = whole(trial);
      record.goal_step = -1;
      if (!larger) record.best = -record.best;
      return record;
    };
    Records records;
    const Search search = run(space, {}, {.has_goal = false, .larger_is_better = larger}, train, records, 1);
    EXPECT_NEAR(best_rate(space, search), -3, 0.2);
  }
}

TEST(Search, NothingToTuneIsMeasuredAtOnce) {
  const Space none;
  Records records;
  const Train train = [](const Trial& trial) {
    EXPECT_TRUE(trial.settings.empty());
    return Record{.outcome = "goal", .goal_step = static_cast<std::int64_t>(trial.seed), .message = ""};
  };
  const Search search = run(none, {.seeds = 5}, kGoal, train, records, 1);
  EXPECT_EQ(search.trials().size(), 5U);
  EXPECT_EQ(search.measurements().size(), 5U);
  EXPECT_EQ(search.measurements()[0].goal_step, 2);  // the seed of the search is not measured
}

TEST(Search, AGridIsTriedWhole) {
  const Space space("--vary", "lr=list(0.001,0.01,0.1) hidden=list(15,30)");
  Records records;
  const Search search = run(space, {}, kGoal, valley(-2), records, 1);
  EXPECT_EQ(search.points().size(), 6U);
  EXPECT_EQ(search.widened(), 0);
  EXPECT_NEAR(best_rate(space, search), -2, 1e-9);
}

}  // namespace
}  // namespace trainer::study
