// The normal numbers of noise: their distribution, and that they are the same wherever they are drawn.
#include "trainer/core/random_normals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace trainer {
namespace {

std::vector<float> draw(std::uint64_t seed, std::int64_t streams, std::int64_t count) {
  std::vector<float> numbers(static_cast<std::size_t>(streams * count));
  for (std::int64_t s = 0; s < streams; ++s)
    random_normals(RandomKey(seed, Purpose::noise, 3, 1), static_cast<std::uint64_t>(s),
                   numbers.data() + s * count, count);
  return numbers;
}

TEST(RandomNormals, HaveTheMomentsAndTheQuantilesOfANormalDistribution) {
  std::vector<float> numbers = draw(1, 400, 1024);
  const auto count = static_cast<double>(numbers.size());
  double moments[5] = {};
  for (const float x : numbers)
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(static_cast<double>(x), k) / count;
  // Five standard errors: the variances of x, x^2, x^3 and x^4 are 1, 2, 15 and 96.
  EXPECT_NEAR(moments[1], 0, 5 * std::sqrt(1 / count));
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2 / count));
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15 / count));
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96 / count));
  std::sort(numbers.begin(), numbers.end());
  double largest = 0;  // Kolmogorov and Smirnov
  for (std::size_t i = 0; i < numbers.size(); ++i)
    largest =
        std::max(largest, std::abs(std::erfc(-static_cast<double>(numbers[i]) / std::numbers::sqrt2) / 2 -
                                   static_cast<double>(i) / count));
  EXPECT_LT(largest, 2 / std::sqrt(count));  // a chance of 0.0007 to be larger
}

TEST(RandomNormals, AreNotCorrelatedWithinAPairNorBetweenNeighbours) {
  const std::vector<float> numbers = draw(2, 400, 1024);
  for (const std::size_t lag : {1, 2, 1024}) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i + lag < numbers.size(); ++i) {
      const double x = static_cast<double>(numbers[i]), y = static_cast<double>(numbers[i + lag]);
      sum += x * y;
      squares += x * x * y * y - 1;
    }
    const auto count = static_cast<double>(numbers.size() - lag);
    EXPECT_NEAR(sum / count, 0, 5 / std::sqrt(count)) << lag;
    EXPECT_NEAR(squares / count, 0, 5 * std::sqrt(8 / count)) << lag;
  }
}

TEST(RandomNormals, ArePureFunctionsOfTheirPlace) {
  const std::vector<float> whole = draw(3, 1, 1024);
  for (const std::int64_t count : {0, 1, 2, 3, 15, 16, 17, 100, 1023}) {
    const std::vector<float> part = draw(3, 1, count);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << count;
  }
  EXPECT_NE(draw(4, 1, 10), draw(3, 1, 10));
}

}  // namespace
}  // namespace trainer
