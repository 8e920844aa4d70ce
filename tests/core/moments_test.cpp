#include "trainer/core/moments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

namespace trainer {
namespace {

constexpr std::int64_t kColumns = 4;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

struct Moments {
  double rows = 0;
  std::vector<double> mean = std::vector<double>(kColumns), m2 = std::vector<double>(kColumns);
};

/// Means from 0 to 1e8 beside deviations of about 1: squares minus squares would lose half of the digits.
std::vector<double> draw(std::int64_t rows) {
  constexpr double kMeans[kColumns] = {0, 5, -1e4, 1e8};
  std::mt19937_64 generator(static_cast<unsigned>(rows));
  std::normal_distribution<double> distribution(0, 1);
  std::vector<double> out;
  for (std::int64_t i = 0; i < rows * kColumns; ++i)
    out.push_back(kMeans[i % kColumns] + distribution(generator));
  return out;
}

/// In two passes of long double, rounded once.
Moments exact(std::span<const double> values) {
  Moments out;
  const auto rows = static_cast<std::int64_t>(values.size()) / kColumns;
  out.rows = static_cast<double>(rows);
  for (std::size_t c = 0; c < kColumns; ++c) {
    long double mean = 0, m2 = 0;
    for (std::size_t i = c; i < values.size(); i += kColumns) mean += static_cast<long double>(values[i]);
    mean /= static_cast<long double>(rows);
    for (std::size_t i = c; i < values.size(); i += kColumns) {
      const long double distance = static_cast<long double>(values[i]) - mean;
      m2 += distance * distance;
    }
    out.mean[c] = static_cast<double>(mean);
    out.m2[c] = static_cast<double>(m2);
  }
  return out;
}

void merge(Moments& left, const Moments& right) {
  merge_moments(kColumns, left.rows, left.mean.data(), left.m2.data(), right.rows, right.mean.data(),
                right.m2.data());
  left.rows += right.rows;
}

/// A rounding of a mean moves m2 by about 2 deviation sqrt(rows) |mean| eps.
void expect_near(const Moments& found, const Moments& wanted, double roundings) {
  for (std::size_t c = 0; c < kColumns; ++c) {
    const double magnitude = std::abs(wanted.mean[c]) + 1;
    EXPECT_NEAR(found.mean[c], wanted.mean[c], roundings * kEpsilon * magnitude) << c;
    EXPECT_NEAR(found.m2[c], wanted.m2[c], roundings * kEpsilon * wanted.rows * magnitude) << c;
  }
}

TEST(Moments, MergedAreThoseOfAllRows) {
  const std::vector<double> values = draw(1000);
  const Moments wanted = exact(values);
  for (const std::ptrdiff_t cut : {1, 2, 37, 500, 900, 999}) {
    const std::span<const double> all(values);
    Moments merged = exact(all.first(static_cast<std::size_t>(cut * kColumns)));
    merge(merged, exact(all.subspan(static_cast<std::size_t>(cut * kColumns))));
    EXPECT_EQ(merged.rows, 1000);
    expect_near(merged, wanted, 4);
  }
}

TEST(Moments, MergedRowByRowAreThoseOfAllRows) {
  const std::vector<double> values = draw(500);
  const std::span<const double> all(values);
  Moments merged = exact(all.first(kColumns));
  for (std::size_t row = 1; row < 500; ++row) merge(merged, exact(all.subspan(row * kColumns, kColumns)));
  expect_near(merged, exact(values), 500);
}

TEST(Moments, AreRoundedAsWritten) {
  const std::vector<double> values = draw(7);
  const std::span<const double> all(values);
  const Moments left = exact(all.first(3 * kColumns)), right = exact(all.subspan(3 * kColumns));
  Moments merged = left;
  merge(merged, right);
  for (std::size_t c = 0; c < kColumns; ++c) {
    const double delta = right.mean[c] - left.mean[c];
    EXPECT_EQ(merged.mean[c], left.mean[c] + delta * (4.0 / 7.0));
    EXPECT_EQ(merged.m2[c], left.m2[c] + (right.m2[c] + delta * delta * (12.0 / 7.0)));
  }
}

TEST(Moments, AConstantColumnStaysConstant) {
  Moments left{3, {0.1, 1e300, -0.0, 7}, {0, 0, 0, 0}}, right{5, left.mean, left.m2};
  merge(left, right);
  EXPECT_EQ(left.mean, right.mean);
  EXPECT_EQ(left.m2, right.m2);
}

}  // namespace
}  // namespace trainer
