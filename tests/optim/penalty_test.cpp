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

/// The documented order, written plainly: element i in lane i mod 16, then halves onto halves.
template <class Function>
double lane_sum(const std::vector<float>& values, Function function) {
  double lanes[16] = {};
  for (std::size_t i = 0; i < values.size(); ++i) lanes[i % 16] += function(static_cast<double>(values[i]));
  for (int width : {8, 4, 2, 1}) {
    for (int j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

double square(double value) { return value * value; }
double magnitude(double value) { return std::fabs(value); }
std::int64_t size(const std::vector<float>& values) { return static_cast<std::int64_t>(values.size()); }

TEST(Penalty, SumsFollowTheWrittenOrder) {
  for (const std::size_t count : {0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000, 4096, 4095}) {
    const std::vector<float> values = draw(count, 3);
    EXPECT_EQ(sum_of_squares(values.data(), size(values)), lane_sum(values, square)) << count;
    EXPECT_EQ(penalty_value(values.data(), size(values), 1, 0), lane_sum(values, magnitude)) << count;
    EXPECT_EQ(penalty_value(values.data(), size(values), 0.25, 0.5),
              0.25 * lane_sum(values, magnitude) + 0.25 * lane_sum(values, square))
        << count;
  }
}

TEST(Penalty, SumsDoNotDependOnTheAddress) {
  const std::vector<float> values = draw(1003, 4);
  const double expected = sum_of_squares(values.data(), size(values));
  for (std::size_t offset = 0; offset < 17; ++offset) {
    std::vector<float> moved(offset);
    moved.insert(moved.end(), values.begin(), values.end());
    EXPECT_EQ(sum_of_squares(moved.data() + offset, size(values)), expected) << offset;
  }
}

TEST(Penalty, SumsAreRight) {
  const std::vector<float> values = draw(10'000, 5);
  long double squares = 0;
  long double magnitudes = 0;
  for (const long double value : values) {
    squares += value * value;
    magnitudes += std::fabs(value);
  }
  // 10,000 / 16 additions in a lane, then 4.
  const double relative = 630 * 0x1p-53;
  EXPECT_NEAR(sum_of_squares(values.data(), 10'000), static_cast<double>(squares),
              relative * static_cast<double>(squares));
  EXPECT_NEAR(penalty_value(values.data(), 10'000, 1, 0), static_cast<double>(magnitudes),
              relative * static_cast<double>(magnitudes));
}

TEST(Penalty, SumOfSquaresIsFiniteIfAndOnlyIfTheValuesAre) {
  const float largest = std::numeric_limits<float>::max();
  std::vector<float> values(1000, largest);
  EXPECT_TRUE(std::isfinite(sum_of_squares(values.data(), size(values))));
  for (const std::size_t place : {0, 7, 500, 991, 992, 999}) {
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
      values[place] = bad;
      EXPECT_FALSE(std::isfinite(sum_of_squares(values.data(), size(values)))) << place << ' ' << bad;
    }
    values[place] = largest;
  }
}

TEST(Penalty, ValueByHand) {
  const std::vector<float> values = {1, -2, 0, 3};
  EXPECT_EQ(penalty_value(values.data(), 4, 0.5, 0), 3);
  EXPECT_EQ(penalty_value(values.data(), 4, 0, 0.5), 3.5);
  EXPECT_EQ(penalty_value(values.data(), 4, 0.5, 0.5), 6.5);
  EXPECT_EQ(penalty_value(values.data(), 0, 0.5, 0.5), 0);
  EXPECT_EQ(penalty_value(&kInfinity, 1, 0, 0), 0);
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
