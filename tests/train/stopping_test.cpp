#include "trainer/train/stopping.h"

#include <gtest/gtest.h>

#include <cmath>

#include "trainer/core/error.h"

namespace trainer::train {
namespace {

const std::vector<std::string> kAvailable = {"train_loss", "val_loss", "val_accuracy"};

/// Feeds a series of values and returns the number of the first evaluation (from 0) after which training
/// stops; -1: never.
int stops_after(const Stopping& stopping, const std::vector<double>& values, Stopping::State& state) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    stopping.update(state, {{stopping.metric(), values[i]}}, static_cast<std::int64_t>(i));
    if (stopping.must_stop(state)) return static_cast<int>(i);
  }
  return -1;
}

TEST(Stopping, StopsWhenPatienceRunsOut) {
  const Stopping stopping("val_loss(patience=2)", kAvailable, "val_loss");
  Stopping::State state;
  EXPECT_EQ(stops_after(stopping, {1.0, 0.9, 0.95, 0.92, 0.1}, state), 3);
  EXPECT_EQ(state.best, 0.9);
  EXPECT_EQ(state.best_step, 1);
}

TEST(Stopping, AMetricKnowsItsDirection) {
  const Stopping stopping("val_accuracy(patience=2)", kAvailable, "val_loss");
  Stopping::State state;
  EXPECT_EQ(stops_after(stopping, {0.5, 0.6, 0.7, 0.8, 0.9}, state), -1);
  EXPECT_EQ(state.best, 0.9);
}

TEST(Stopping, MinDeltaAsksForMoreButTheBestIsTheBest) {
  const Stopping stopping("val_loss(patience=3, min_delta=0.1)", kAvailable, "val_loss");
  Stopping::State state;
  // Each is better than the last, none by 0.1 over the reference until -0.11: the model kept is the best all
  // the same.
  EXPECT_EQ(stops_after(stopping, {1.0, 0.95, 0.93, 0.91}, state), 3);
  EXPECT_EQ(state.best, 0.91);
  EXPECT_EQ(state.reference, 1.0);
  Stopping::State other;
  EXPECT_EQ(stops_after(stopping, {1.0, 0.95, 0.89, 0.88, 0.87, 0.86}, other), 5);
  EXPECT_EQ(other.reference, 0.89);
}

TEST(Stopping, OfEqualsTheFirstIsKept) {
  const Stopping stopping("", kAvailable, "val_loss");
  Stopping::State state;
  EXPECT_TRUE(stopping.update(state, {{"val_loss", 0.5}}, 10));
  EXPECT_FALSE(stopping.update(state, {{"val_loss", 0.5}}, 20));
  EXPECT_EQ(state.best_step, 10);
  EXPECT_FALSE(stopping.must_stop(state));
}

TEST(Stopping, NanIsNeverTheBestAndCountsOnceThereWasAFigure) {
  const Stopping stopping("val_loss(patience=2)", kAvailable, "val_loss");
  Stopping::State state;
  EXPECT_FALSE(stopping.update(state, {{"val_loss", std::nan("")}}, 0));
  EXPECT_EQ(state.best_step, -1);
  EXPECT_EQ(state.without, 0);
  EXPECT_TRUE(stopping.update(state, {{"val_loss", 3.0}}, 1));
  EXPECT_EQ(state.best, 3.0);
  EXPECT_FALSE(stopping.update(state, {{"val_loss", std::nan("")}}, 2));
  EXPECT_EQ(state.without, 1);
}

TEST(Stopping, KeepsTheNewestModelWhileNothingIsKnown) {
  const Stopping stopping("val_auc(patience=2)", {"val_auc"}, "val_auc");
  Stopping::State state;
  EXPECT_FALSE(stopping.update(state, {{"val_auc", std::nan("")}}, 0));
  EXPECT_TRUE(stopping.update(state, {{"val_auc", std::nan("")}}, 1));
  EXPECT_EQ(state.best_step, 1);
  EXPECT_FALSE(stopping.must_stop(state));
  EXPECT_TRUE(stopping.update(state, {{"val_auc", std::nan("")}}, 2));
  EXPECT_EQ(state.best_step, 2);
  EXPECT_TRUE(stopping.must_stop(state));
  EXPECT_TRUE(stopping.update(state, {{"val_auc", 0.1}}, 3));
  EXPECT_EQ(state.best, 0.1);
  EXPECT_FALSE(stopping.must_stop(state));
  EXPECT_FALSE(stopping.update(state, {{"val_auc", 0.05}}, 4));
}

TEST(Stopping, BadTextsAreUsageErrors) {
  for (const char* source :
       {"val_lost(patience=2)", "val_loss(patience=0)", "val_loss(patience=2, min_delta=-1)",
        "val_loss(patience=two)", "val_loss val_accuracy", "val_loss(2, 0, 3)"}) {
    try {
      const Stopping stopping(source, kAvailable, "val_loss");
      FAIL() << source << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << source;
    }
  }
}

TEST(Goal, IsReachedAtItsValue) {
  const auto least = Goal::parse("val_accuracy>=0.9", kAvailable);
  ASSERT_TRUE(least);
  EXPECT_TRUE(least->reached({{"val_accuracy", 0.9}}));
  EXPECT_FALSE(least->reached({{"val_accuracy", 0.8999}}));
  EXPECT_FALSE(least->reached({{"val_accuracy", std::nan("")}}));
  const auto most = Goal::parse(" train_loss <= 1e-4 ", kAvailable);
  ASSERT_TRUE(most);
  EXPECT_TRUE(most->reached({{"train_loss", 1e-4}}));
  EXPECT_FALSE(most->reached({{"train_loss", std::nan("")}}));
  EXPECT_FALSE(Goal::parse("", kAvailable));
}

TEST(Goal, BadTextsAreUsageErrors) {
  for (const char* source : {"val_accuracy", "val_accuracy=0.9", "val_accuracy>0.9",
                             "val_accuracy>=", "val_accuracy>=x", "accuracy>=0.9", ">=0.9"})
    EXPECT_THROW(Goal::parse(source, kAvailable), Error) << source;
}

}  // namespace
}  // namespace trainer::train
