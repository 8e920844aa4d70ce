#include "trainer/study/fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "trainer/core/random.h"

namespace trainer::study {
namespace {

TEST(MeanInterval, IsStudentsT) {
  const double values[] = {1, 2, 3};
  const Interval mean = mean_interval(values);
  EXPECT_DOUBLE_EQ(mean.value, 2);
  EXPECT_NEAR(mean.high - 2, 4.302653 / std::sqrt(3.0), 1e-6);  // t of 2 degrees of freedom
  EXPECT_NEAR(2 - mean.low, 4.302653 / std::sqrt(3.0), 1e-6);
}

TEST(MeanInterval, OneValueHasNoInterval) {
  const double values[] = {7};
  EXPECT_EQ(mean_interval(values).value, 7);
  EXPECT_TRUE(std::isnan(mean_interval(values).low));
  EXPECT_TRUE(std::isnan(mean_interval({}).value));
}

TEST(LogMeanInterval, IsThatOfTheLogarithms) {
  const double values[] = {10, 100, 1000};
  const Interval mean = log_mean_interval(values);
  EXPECT_NEAR(mean.value, 100, 1e-9);
  EXPECT_NEAR(mean.value / mean.low, mean.high / mean.value, 1e-9);
  EXPECT_NEAR(mean.high, 100 * std::pow(10, 4.302653 / std::sqrt(3.0)), 0.1);
}

std::vector<StepsAt> curve(double least, double critical, double noise, std::uint64_t seed) {
  std::vector<StepsAt> points;
  RandomStream random(RandomKey(seed, Purpose::study), 5);
  for (double batch = 8; batch <= 8192; batch *= 2)
    for (int s = 0; s < 3; ++s)
      points.push_back({batch, least * (1 + critical / batch) * std::exp(noise * random.normal())});
  return points;
}

TEST(CriticalBatch, IsFoundExactlyWithoutNoise) {
  for (const double critical : {20.0, 300.0, 5000.0}) {
    const auto fit = fit_critical_batch(curve(130, critical, 0, 1));
    ASSERT_TRUE(fit);
    EXPECT_NEAR(fit->critical.value / critical, 1, 1e-6);
    EXPECT_NEAR(fit->least_steps / 130, 1, 1e-6);
    EXPECT_NEAR(fit->steps(critical) / 260, 1, 1e-6);
  }
}

TEST(CriticalBatch, TheIntervalHoldsTheTruthAsOftenAsItSays) {
  int held = 0;
  double width = 0, variance = 0;
  constexpr int kTimes = 400;
  for (int i = 0; i < kTimes; ++i) {
    const auto fit = fit_critical_batch(curve(100, 400, 0.1, static_cast<std::uint64_t>(i)));
    ASSERT_TRUE(fit);
    held += fit->critical.low <= 400 && 400 <= fit->critical.high ? 1 : 0;
    variance += fit->scatter * fit->scatter / kTimes;
    width += std::log(fit->critical.high / fit->critical.low) / kTimes;
  }
  EXPECT_GT(held, kTimes * 0.91);  // 0.95 +- 0.011
  EXPECT_LT(held, kTimes * 0.985);
  EXPECT_NEAR(variance, 0.01 / 3, 0.0003);  // of the means of three seeds
  EXPECT_LT(width, 0.4);
}

TEST(CriticalBatch, SeedsThatAgreeDoNotNarrowTheInterval) {
  // Tuned too coarsely, all seeds of a batch size are off together: more of them tell nothing.
  RandomStream random(RandomKey(3, Purpose::study), 6);
  std::vector<StepsAt> one, many;
  for (double batch = 8; batch <= 8192; batch *= 2) {
    one.push_back({batch, 100 * (1 + 400 / batch) * std::exp(0.1 * random.normal())});
    many.insert(many.end(), 10, one.back());
  }
  const auto by_one = fit_critical_batch(one), by_many = fit_critical_batch(many);
  ASSERT_TRUE(by_one && by_many);
  EXPECT_NEAR(by_one->critical.high, by_many->critical.high, 1e-6);
}

TEST(CriticalBatch, NoBendInSightHasAnOpenEnd) {
  std::vector<StepsAt> points;
  for (double batch = 8; batch <= 64; batch *= 2) points.push_back({batch, 1e5 / batch});
  points[1].steps *= 1.01;
  points[2].steps *= 0.99;
  const auto fit = fit_critical_batch(points);
  ASSERT_TRUE(fit);
  EXPECT_GT(fit->critical.value, 640);
  EXPECT_EQ(fit->critical.high, std::numeric_limits<double>::infinity());
}

TEST(CriticalBatch, NeedsThreeBatchSizes) {
  const StepsAt two[] = {{8, 100}, {16, 60}, {16, 55}, {8, 90}};
  EXPECT_FALSE(fit_critical_batch(two));
}

TEST(RateRule, FindsTheExponent) {
  std::vector<RateAt> linear, root;
  for (double batch = 8; batch <= 1024; batch *= 4) {
    linear.push_back({batch, 1e-3 * batch});
    root.push_back({batch, 1e-3 * std::sqrt(batch)});
  }
  EXPECT_NEAR(fit_rate_rule(linear)->exponent.value, 1, 1e-12);
  EXPECT_NEAR(fit_rate_rule(root)->exponent.value, 0.5, 1e-12);
  EXPECT_NEAR(fit_rate_rule(root)->factor, 1e-3, 1e-15);
  linear.resize(2);
  EXPECT_FALSE(fit_rate_rule(linear));
}

}  // namespace
}  // namespace trainer::study
