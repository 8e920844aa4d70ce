#include "trainer/optim/penalty.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "same_bits.h"

namespace trainer::optim {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> draw(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0, 3);
  std::vector<float> result(count);
  for (float& value : result) value = distribution(generator);
  return result;
}

TEST(Penalty, ValueByHand) {
  const std::vector<float> values = {1, -2, 0, 3};
  EXPECT_EQ(penalty_value(values.data(), 4, 0.5, 0), 3);
  EXPECT_EQ(penalty_value(values.data(), 4, 0, 0.5), 3.5);
  EXPECT_EQ(penalty_value(values.data(), 4, 0.5, 0.5), 6.5);
  EXPECT_EQ(penalty_value(values.data(), 0, 0.5, 0.5), 0);
  EXPECT_EQ(penalty_value(&kInfinity, 1, 0, 0), 0);
}

TEST(Penalty, ValueIsMadeOfTheSums) {
  const std::vector<float> values = draw(1003, 3);
  const double magnitudes = sum_of_magnitudes(values.data(), 1003),
               squares = sum_of_squares(values.data(), 1003);
  EXPECT_EQ(penalty_value(values.data(), 1003, 1, 0), magnitudes);
  EXPECT_EQ(penalty_value(values.data(), 1003, 0.25, 0.5), 0.25 * magnitudes + 0.25 * squares);
}

TEST(Penalty, GradientByHand) {
  const std::vector<float> parameters = {1, -2, 0, -0.0F, 3};
  const std::vector<float> start = {10, 10, 10, 10, -10};
  const auto gradient = [&](double l1, double l2) {
    std::vector<float> result = start;
    add_penalty_gradient(result.data(), parameters.data(), 5, l1, l2);
    return result;
  };
  EXPECT_EQ(gradient(0, 0), start);
  EXPECT_EQ(gradient(0.5, 0), (std::vector<float>{10.5, 9.5, 10, 10, -9.5}));
  EXPECT_EQ(gradient(0, 0.5), (std::vector<float>{10.5, 9, 10, 10, -8.5}));
  EXPECT_EQ(gradient(0.5, 0.5), (std::vector<float>{11, 8.5, 10, 10, -8}));
}

TEST(Penalty, GradientIsTheDerivativeOfTheValue) {
  const std::vector<float> parameters = draw(50, 6);
  std::vector<float> gradient(50, 0.0F);
  add_penalty_gradient(gradient.data(), parameters.data(), 50, 0.3, 0.7);
  for (std::size_t i = 0; i < 50; ++i) {
    ASSERT_GT(std::fabs(parameters[i]), 0x1p-9) << "the kink of |w| would lie within the difference";
    const float above = parameters[i] + 0x1p-10F;
    const float below = parameters[i] - 0x1p-10F;
    const double slope = (penalty_value(&above, 1, 0.3, 0.7) - penalty_value(&below, 1, 0.3, 0.7)) /
                         (double{above} - double{below});
    // Exact for a quadratic but for the midpoint's rounding (0.7 * 2^-23 |w|) and three roundings of the
    // gradient.
    EXPECT_NEAR(gradient[i], slope, 8 * 0x1p-24 * (0.3 + 0.7 * std::fabs(parameters[i])) + 1e-12);
  }
}

template <class Function>
void expect_independent_of_the_cut(Function function) {
  const std::vector<float> other = draw(515, 8);
  std::vector<float> whole = draw(515, 9);
  std::vector<float> pieces = whole;
  function(whole.data(), other.data(), 515);
  std::int64_t length = 1;
  for (std::int64_t begin = 0; begin < 515; begin += length++) {
    function(pieces.data() + begin, other.data() + begin, std::min<std::int64_t>(length, 515 - begin));
  }
  EXPECT_TRUE(same_bits(whole, pieces));
}

TEST(Penalty, BitsDoNotDependOnTheCut) {
  expect_independent_of_the_cut(
      [](float* g, const float* w, std::int64_t count) { add_penalty_gradient(g, w, count, 0.1, 0.3); });
  expect_independent_of_the_cut(
      [](float* g, const float* w, std::int64_t count) { add_penalty_gradient(g, w, count, 0, 0.3); });
  expect_independent_of_the_cut([](float* g, const float*, std::int64_t count) { divide(g, count, 7); });
  expect_independent_of_the_cut([](float* g, const float*, std::int64_t count) { multiply(g, count, 0.3F); });
}

TEST(Penalty, DivisionIsTheRealOne) {
  std::vector<float> divided = draw(100, 10);
  std::vector<float> multiplied = divided;
  const std::vector<float> start = divided;
  divide(divided.data(), 100, 7);
  multiply(multiplied.data(), 100, 7);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(divided[i], start[i] / 7);
    EXPECT_EQ(multiplied[i], start[i] * 7);
  }
}

TEST(Penalty, ClipFactor) {
  EXPECT_EQ(clip_factor(4, 1), 0.25);
  EXPECT_EQ(clip_factor(1, 1), 1);
  EXPECT_EQ(clip_factor(0.5, 1), 1);
  EXPECT_EQ(clip_factor(0, 1), 1);
  EXPECT_EQ(clip_factor(100, 0), 1);
  EXPECT_EQ(clip_factor(kInfinity, 1), 1);
  EXPECT_EQ(clip_factor(std::nan(""), 1), 1);
}

}  // namespace
}  // namespace trainer::optim
