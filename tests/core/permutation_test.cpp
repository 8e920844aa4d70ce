#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "trainer/core/error.h"
#include "trainer/core/random.h"

namespace trainer {
namespace {

RandomKey key_of(std::uint64_t seed) { return {seed, Purpose::order}; }

std::vector<std::int64_t> table_of(const Permutation& permutation) {
  std::vector<std::int64_t> table;
  for (std::int64_t place = 0; place < permutation.size(); ++place) table.push_back(permutation(place));
  return table;
}

void expect_bijection(std::int64_t size, std::uint64_t seed) {
  std::vector<bool> seen(static_cast<std::size_t>(size), false);
  for (const std::int64_t x : table_of(Permutation(key_of(seed), size))) {
    ASSERT_TRUE(x >= 0 && x < size) << x << " of size " << size;
    ASSERT_FALSE(seen[static_cast<std::size_t>(x)]) << x << " comes twice, size " << size;
    seen[static_cast<std::size_t>(x)] = true;
  }
}

TEST(Permutation, IsABijectionForEverySmallSize) {
  for (std::int64_t size = 1; size <= 300; ++size)
    expect_bijection(size, static_cast<std::uint64_t>(size % 3));
}

TEST(Permutation, IsABijectionAroundPowersOfTwo) {
  for (const std::int64_t power : {512, 1024, 4096, 8192, 65536, 131072}) {
    for (const std::int64_t size : {power - 1, power, power + 1}) expect_bijection(size, 5);
  }
  expect_bijection(60000, 1);
}

TEST(Permutation, LargeSizesStayInRangeAndDiffer) {
  for (const std::int64_t size : {std::int64_t{1} << 40, (std::int64_t{1} << 40) + 1, std::int64_t{1} << 62,
                                  std::numeric_limits<std::int64_t>::max()}) {
    const Permutation permutation(key_of(1), size);
    std::vector<std::int64_t> values;
    for (std::int64_t place = 0; place < 1000; ++place) {
      values.push_back(permutation(place));
      values.push_back(permutation(size - 1 - place));
    }
    std::ranges::sort(values);
    EXPECT_GE(values.front(), 0);
    EXPECT_LT(values.back(), size);
    EXPECT_EQ(std::ranges::adjacent_find(values), values.end()) << "size " << size;
  }
}

TEST(Permutation, RefusesBadSizesAndPlaces) {
  EXPECT_THROW(Permutation(key_of(1), 0), Error);
  EXPECT_THROW(Permutation(key_of(1), -5), Error);
  const Permutation permutation(key_of(1), 10);
  EXPECT_THROW(permutation(-1), Error);
  EXPECT_THROW(permutation(10), Error);
}

/// The meaning of a seed: these orders never change.
TEST(Permutation, GoldenOrder) {
  EXPECT_EQ(table_of(Permutation(RandomKey(1, Purpose::order, 2), 10)),
            (std::vector<std::int64_t>{0, 5, 7, 1, 8, 6, 2, 9, 3, 4}));
}

TEST(Permutation, DependsOnTheKeyAlone) {
  EXPECT_EQ(table_of(Permutation(key_of(1), 1000)), table_of(Permutation(key_of(1), 1000)));
  EXPECT_NE(table_of(Permutation(key_of(1), 1000)), table_of(Permutation(key_of(2), 1000)));
}

/// Pearson's statistic stays below its mean plus five deviations. `shares` need not be scaled.
void expect_even(const std::vector<double>& counts, const std::vector<double>& shares,
                 const std::string& what) {
  const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double all_shares = std::accumulate(shares.begin(), shares.end(), 0.0);
  double statistic = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = draws * shares[i] / all_shares;
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  const auto freedom = static_cast<double>(counts.size()) - 1;
  EXPECT_LE(statistic, freedom + 5 * std::sqrt(2 * freedom)) << what;
}

TEST(Permutation, SmallOnesAreAllEquallyLikely) {
  for (const std::int64_t size : {2, 3, 4, 5}) {
    std::map<std::vector<std::int64_t>, double> counts;
    for (std::uint64_t seed = 0; seed < 24000; ++seed) ++counts[table_of(Permutation(key_of(seed), size))];
    std::size_t orders = 1;
    for (std::int64_t i = 2; i <= size; ++i) orders *= static_cast<std::size_t>(i);
    ASSERT_EQ(counts.size(), orders);
    std::vector<double> frequencies;
    for (const auto& [order, count] : counts) frequencies.push_back(count);
    expect_even(frequencies, std::vector<double>(orders, 1.0), "orders of " + std::to_string(size));
  }
}

constexpr std::int64_t kBuckets = 16;

/// How many of {0, ..., size - 1} fall into each bucket.
std::vector<double> bucket_shares(std::int64_t size) {
  std::vector<double> shares(kBuckets, 0.0);
  for (std::int64_t i = 0; i < size; ++i) ++shares[static_cast<std::size_t>(i * kBuckets / size)];
  return shares;
}

TEST(Permutation, PlacesAndNeighboursAreEven) {
  for (const std::int64_t size : {64, 1000, 60000}) {
    std::vector<double> places(kBuckets, 0.0);
    std::vector<double> distances(kBuckets, 0.0);
    for (std::uint64_t seed = 0; seed < 8000; ++seed) {
      const Permutation permutation(key_of(seed), size);
      const std::int64_t first = permutation(size / 3);
      const std::int64_t distance = (permutation(size / 3 + 1) - first + size) % size - 1;
      ++places[static_cast<std::size_t>(first * kBuckets / size)];
      ++distances[static_cast<std::size_t>(distance * kBuckets / (size - 1))];
    }
    expect_even(places, bucket_shares(size), "places of " + std::to_string(size));
    expect_even(distances, bucket_shares(size - 1), "distances of " + std::to_string(size));
  }
}

/// Epochs after one another must not resemble each other: the same place under neighbouring keys.
TEST(Permutation, ConsecutiveEpochsAreIndependent) {
  constexpr std::int64_t kSize = 1000;
  std::vector<double> distances(kBuckets, 0.0);
  for (std::uint64_t epoch = 0; epoch < 50; ++epoch) {
    const Permutation one(RandomKey(1, Purpose::order, epoch), kSize);
    const Permutation next(RandomKey(1, Purpose::order, epoch + 1), kSize);
    for (std::int64_t place = 0; place < kSize; ++place) {
      const std::int64_t distance = (next(place) - one(place) + kSize) % kSize;
      ++distances[static_cast<std::size_t>(distance * kBuckets / kSize)];
    }
  }
  expect_even(distances, bucket_shares(kSize), "distances between epochs");
}

TEST(Permutation, HasOneFixedPointOnAverage) {
  constexpr int kKeys = 2000;
  double fixed = 0;
  for (std::uint64_t seed = 0; seed < kKeys; ++seed) {
    const Permutation permutation(key_of(seed), 100);
    for (std::int64_t place = 0; place < 100; ++place) fixed += permutation(place) == place ? 1 : 0;
  }
  EXPECT_NEAR(fixed / kKeys, 1.0, 5 / std::sqrt(kKeys));
}

}  // namespace
}  // namespace trainer
