#include "trainer/core/sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace trainer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Of many magnitudes: another order rounds otherwise.
std::vector<float> draw(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0, 3);
  std::vector<float> result(count);
  for (std::size_t i = 0; i < count; ++i)
    result[i] = std::ldexp(distribution(generator), static_cast<int>(i % 61) - 30);
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

TEST(Sums, FollowTheWrittenOrder) {
  for (const std::size_t count : {0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000, 4096, 4095}) {
    const std::vector<float> values = draw(count, 3);
    EXPECT_EQ(sum_of_squares(values.data(), size(values)), lane_sum(values, square)) << count;
    EXPECT_EQ(sum_of_magnitudes(values.data(), size(values)), lane_sum(values, magnitude)) << count;
  }
}

TEST(Sums, DoNotDependOnTheAddress) {
  const std::vector<float> values = draw(1003, 4);
  const double expected = sum_of_squares(values.data(), size(values));
  const double magnitudes = sum_of_magnitudes(values.data(), size(values));
  for (std::size_t offset = 0; offset < 17; ++offset) {
    std::vector<float> moved(offset);
    moved.insert(moved.end(), values.begin(), values.end());
    EXPECT_EQ(sum_of_squares(moved.data() + offset, size(values)), expected) << offset;
    EXPECT_EQ(sum_of_magnitudes(moved.data() + offset, size(values)), magnitudes) << offset;
  }
}

TEST(Sums, AreRight) {
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
  EXPECT_NEAR(sum_of_magnitudes(values.data(), 10'000), static_cast<double>(magnitudes),
              relative * static_cast<double>(magnitudes));
}

TEST(Sums, AreFiniteIfAndOnlyIfTheValuesAre) {
  const float largest = std::numeric_limits<float>::max();
  std::vector<float> values(1000, largest);
  EXPECT_TRUE(std::isfinite(sum_of_squares(values.data(), size(values))));
  EXPECT_TRUE(std::isfinite(sum_of_magnitudes(values.data(), size(values))));
  for (const std::size_t place : {0, 7, 500, 991, 992, 999}) {
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
      values[place] = bad;
      EXPECT_FALSE(std::isfinite(sum_of_squares(values.data(), size(values)))) << place << ' ' << bad;
      EXPECT_FALSE(std::isfinite(sum_of_magnitudes(values.data(), size(values)))) << place << ' ' << bad;
    }
    values[place] = largest;
  }
}

}  // namespace
}  // namespace trainer
