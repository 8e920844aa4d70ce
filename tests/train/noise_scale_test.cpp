#include "trainer/train/noise_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "trainer/core/random.h"
#include "trainer/core/tree.h"

namespace trainer::train {
namespace {

/// Rows' gradients with a known mean and a known, correlated covariance: mean + A z with z standard normal.
struct Gradients {
  std::vector<double> mean = {0.3, -0.2, 0.5, 0.1};
  std::vector<std::vector<double>> factor = {
      {1, 0, 0, 0}, {0.5, 2, 0, 0}, {0, -1, 0.7, 0}, {0.2, 0, 0.4, 1.5}};

  double square() const {
    double sum = 0;
    for (const double m : mean) sum += m * m;
    return sum;
  }
  double trace() const {
    double sum = 0;
    for (const auto& row : factor)
      for (const double a : row) sum += a * a;
    return sum;
  }
  std::vector<double> draw(RandomStream& random) const {
    std::vector<double> z(mean.size()), g = mean;
    for (double& value : z) value = random.normal();
    for (std::size_t i = 0; i < g.size(); ++i)
      for (std::size_t j = 0; j < z.size(); ++j) g[i] += factor[i][j] * z[j];
    return g;
  }
};

double square_of(const std::vector<double>& g) {
  double sum = 0;
  for (const double v : g) sum += v * v;
  return sum;
}

/// What one step of `rows` rows on `shards` shards shows.
void take_step(NoiseScale::State& state, const Gradients& gradients, RandomStream& random, std::int64_t rows,
               std::int64_t shards) {
  nn::Observation seen;
  std::vector<double> total(gradients.mean.size(), 0.0);
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const std::int64_t count = cut(rows, shards, shard).size();
    if (count == 0) continue;
    std::vector<double> sum(total.size(), 0.0);
    for (std::int64_t r = 0; r < count; ++r) {
      const auto g = gradients.draw(random);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += g[i];
    }
    seen.squares += square_of(sum);
    seen.squares_per_row += square_of(sum) / static_cast<double>(count);
    ++seen.shards;
    for (std::size_t i = 0; i < sum.size(); ++i) total[i] += sum[i];
  }
  NoiseScale::take_in(state, seen, square_of(total) / static_cast<double>(rows * rows), rows);
}

class Unbiased : public testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {};

// The averages of many single estimates are the true values, within five standard errors.
TEST_P(Unbiased, OnGradientsOfKnownMeanAndCovariance) {
  const auto [rows, shards] = GetParam();
  const Gradients gradients;
  RandomStream random(RandomKey(5, Purpose::self_test, static_cast<std::uint64_t>(rows)), 0);
  constexpr int kTrials = 20000;
  double trace = 0, trace2 = 0, square = 0, square2 = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    NoiseScale::State state;
    take_step(state, gradients, random, rows, shards);
    const double t = state.trace / 0.05, g = state.square / 0.05;  // the share of one step in the average
    trace += t / kTrials;
    trace2 += t * t / kTrials;
    square += g / kTrials;
    square2 += g * g / kTrials;
  }
  EXPECT_NEAR(trace, gradients.trace(), 5 * std::sqrt((trace2 - trace * trace) / kTrials));
  EXPECT_NEAR(square, gradients.square(), 5 * std::sqrt((square2 - square * square) / kTrials));
  EXPECT_LT(std::sqrt((square2 - square * square) / kTrials), gradients.square()) << "the test says nothing";
}

// Shards of one row, uneven ones, and more shards than rows among them.
INSTANTIATE_TEST_SUITE_P(NoiseScale, Unbiased,
                         testing::Values(std::pair<std::int64_t, std::int64_t>{64, 4},
                                         std::pair<std::int64_t, std::int64_t>{50, 7},
                                         std::pair<std::int64_t, std::int64_t>{16, 16},
                                         std::pair<std::int64_t, std::int64_t>{9, 12}));

TEST(NoiseScale, TheAverageComesNearTheTruth) {
  const Gradients gradients;
  RandomStream random(RandomKey(6, Purpose::self_test), 0);
  NoiseScale::State state;
  for (int step = 0; step < 500; ++step) take_step(state, gradients, random, 512, 8);
  EXPECT_NEAR(NoiseScale::value(state), gradients.trace() / gradients.square(),
              0.3 * gradients.trace() / gradients.square());
}

TEST(NoiseScale, IsNotKnownAtFirstNorFromOneShard) {
  NoiseScale::State state;
  EXPECT_TRUE(std::isnan(NoiseScale::value(state)));
  RandomStream random(RandomKey(7, Purpose::self_test), 0);
  take_step(state, Gradients(), random, 64, 1);
  EXPECT_EQ(state.trace, 0);
  EXPECT_TRUE(std::isnan(NoiseScale::value(state)));
}

}  // namespace
}  // namespace trainer::train
