#include "trainer/optim/max_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "same_bits.h"

namespace trainer::optim {
namespace {

std::vector<float> draw(std::size_t count) {
  std::mt19937 generator(3);
  std::normal_distribution<float> distribution(0, 3);
  std::vector<float> result(count);
  for (float& value : result) value = distribution(generator);
  return result;
}

TEST(MaxNorm, Factor) {
  EXPECT_EQ(max_norm_factor(4, 2), 0.5);
  EXPECT_EQ(max_norm_factor(2, 2), 1);
  EXPECT_EQ(max_norm_factor(1, 2), 1);
  EXPECT_EQ(max_norm_factor(0, 2), 1);
  EXPECT_EQ(max_norm_factor(100, 0), 1);
  EXPECT_EQ(max_norm_factor(std::nan(""), 2), 1);
  EXPECT_EQ(max_norm_factor(std::numeric_limits<double>::infinity(), 2), 1);
}

TEST(MaxNorm, RowsOfAPanelEndWithinTheLimit) {
  for (const std::int64_t width : {1, 3, 16, 32, 64}) {
    constexpr std::int64_t kInputs = 37;
    constexpr double kLimit = 17;  // near the norm of a row, so that some are above and some below
    std::vector<float> panel = draw(static_cast<std::size_t>(kInputs * width));
    const std::vector<float> before = panel;
    std::vector<double> sums(static_cast<std::size_t>(width), 0.0);
    add_column_squares(panel.data(), kInputs, width, sums.data());
    std::vector<float> factors;
    for (const double sum : sums)
      factors.push_back(static_cast<float>(max_norm_factor(std::sqrt(sum), kLimit)));
    multiply_columns(panel.data(), kInputs, width, factors.data());
    for (std::int64_t j = 0; j < width; ++j) {
      double old_sum = 0;
      double new_sum = 0;
      for (std::int64_t i = j; i < kInputs * width; i += width) {
        old_sum += double{before[i]} * before[i];
        new_sum += double{panel[i]} * panel[i];
      }
      EXPECT_DOUBLE_EQ(sums[j], old_sum);
      // Two roundings to float: the factor and each product.
      EXPECT_NEAR(std::sqrt(new_sum), std::fmin(std::sqrt(old_sum), kLimit), 2 * 0x1p-24 * kLimit);
      if (old_sum <= kLimit * kLimit) {
        EXPECT_EQ(new_sum, old_sum);
      }
    }
  }
}

TEST(MaxNorm, BitsDoNotDependOnTheCut) {
  constexpr std::int64_t kInputs = 100;
  constexpr std::int64_t kWidth = 24;
  std::vector<float> whole = draw(kInputs * kWidth);
  std::vector<float> pieces = whole;
  std::vector<double> whole_sums(kWidth, 0.0);
  std::vector<double> piece_sums(kWidth, 0.0);
  std::vector<float> factors = draw(kWidth);
  add_column_squares(whole.data(), kInputs, kWidth, whole_sums.data());
  multiply_columns(whole.data(), kInputs, kWidth, factors.data());
  std::int64_t length = 1;
  for (std::int64_t begin = 0; begin < kInputs; begin += length++) {
    const std::int64_t inputs = std::min(length, kInputs - begin);
    add_column_squares(pieces.data() + begin * kWidth, inputs, kWidth, piece_sums.data());
    multiply_columns(pieces.data() + begin * kWidth, inputs, kWidth, factors.data());
  }
  EXPECT_EQ(whole_sums, piece_sums);
  EXPECT_TRUE(same_bits(whole, pieces));
}

}  // namespace
}  // namespace trainer::optim
