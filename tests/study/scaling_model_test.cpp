#include "trainer/study/scaling_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace trainer::study {
namespace {

const NetSize kNet{.floats = 600'000, .layers = 3, .batch_norms = 2};

/// What steps cost where the model is right: strong scaling of 2048 rows and weak scaling of 256.
std::vector<StepCost> costs(const ScalingModel& truth, std::int64_t most_ranks) {
  std::vector<StepCost> list;
  for (std::int64_t n = 1; n <= most_ranks; n *= 2) {
    for (const bool strong : {true, false}) {
      StepCost cost;
      cost.work = work_of(kNet, strong ? 2048 : 256 * n, strong ? 16 : 4 * n, n);
      cost.busy = truth.busy(cost.work);
      cost.communicate = n > 1 ? truth.communicate(cost.work) : 0;
      list.push_back(cost);
    }
  }
  return list;
}

TEST(WorkOf, CountsWhatTheExchangeSends) {
  const StepWork one = work_of(kNet, 1000, 4, 1);
  EXPECT_EQ(one.rows, 1000);
  EXPECT_EQ(one.messages, 0);
  EXPECT_EQ(one.bytes, 0);
  // Two ranks: a subtree each. Half of the sums go out, and half of the parameters.
  const StepWork two = work_of(kNet, 1000, 4, 2);
  EXPECT_EQ(two.rows, 500);
  EXPECT_EQ(two.messages, 3 * 2 + 3 + 2 * 2);
  EXPECT_EQ(two.bytes, 4 * 600'000.0);
  // Four shards on three ranks: two ranks have two each, which is as fast as any deal, with the fewest
  // subtrees.
  const StepWork three = work_of(kNet, 1000, 4, 3);
  EXPECT_EQ(three.rows, 500);
  EXPECT_NEAR(three.bytes, 4 * 600'000.0 * 2 / 3 * (2. / 3 + 1), 1);
  // Ranks without a shard send their slice of the parameters alone.
  EXPECT_NEAR(work_of(kNet, 1000, 4, 8).bytes, 4 * 600'000.0 * 7 / 8 * 1.5, 1);
}

const ScalingModel kTruth{
    .alone = {1e-4, 2e-6}, .together = {2e-4, 3e-6}, .latency = 4e-6, .per_byte = 5e-10};

TEST(FitScaling, RecoversWhatTimesWereMadeOf) {
  const ScalingModel& truth = kTruth;
  const auto fit = fit_scaling(costs(truth, 16));
  ASSERT_TRUE(fit);
  EXPECT_TRUE(fit->tells_messages_from_bytes);
  EXPECT_NEAR(fit->alone.fixed, truth.alone.fixed, 1e-9);
  EXPECT_NEAR(fit->alone.per_row, truth.alone.per_row, 1e-11);
  EXPECT_NEAR(fit->together.fixed, truth.together.fixed, 1e-9);
  EXPECT_NEAR(fit->together.per_row, truth.together.per_row, 1e-11);
  EXPECT_NEAR(fit->latency, truth.latency, 1e-11);
  EXPECT_NEAR(fit->per_byte, truth.per_byte, 1e-15);
  EXPECT_LT(fit->deviation, 1e-6);
  const StepWork beyond = work_of(kNet, 2048, 16, 16);
  EXPECT_NEAR(fit->seconds(beyond), truth.seconds(beyond), 1e-9);
}

TEST(FitScaling, NothingIsNegative) {
  // An exchange that gets cheaper with more messages would need a negative latency.
  std::vector<StepCost> list = costs({.alone = {1e-4, 1e-6}, .together = {1e-4, 1e-6}, .per_byte = 1e-9}, 16);
  for (StepCost& cost : list) cost.communicate /= static_cast<double>(cost.work.ranks);
  // And so would a busy time that falls with the rows a rank has.
  for (StepCost& cost : list) cost.busy = 1 / (1 + cost.work.rows);
  const auto fit = fit_scaling(list);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->latency, 0);
  EXPECT_GT(fit->per_byte, 0);
  for (const ComputeModel& one : {fit->alone, fit->together}) {
    EXPECT_GE(one.fixed, 0);
    EXPECT_GE(one.per_row, 0);
  }
  EXPECT_GT(fit->deviation, 0.1);
}

TEST(FitScaling, OneNumberOfRanksDoesNotTellMessagesFromBytes) {
  const ScalingModel& truth = kTruth;
  const auto fit = fit_scaling(costs(truth, 2));
  ASSERT_TRUE(fit);
  EXPECT_FALSE(fit->tells_messages_from_bytes);
  EXPECT_EQ(fit->latency, 0);
  const StepWork two = work_of(kNet, 2048, 16, 2);
  EXPECT_NEAR(fit->per_byte, truth.communicate(two) / two.bytes, 1e-15);
}

TEST(FitScaling, OneRankTellsNothingOfTheExchange) {
  EXPECT_FALSE(fit_scaling(costs(kTruth, 1)));
  EXPECT_FALSE(fit_scaling({}));
}

}  // namespace
}  // namespace trainer::study
