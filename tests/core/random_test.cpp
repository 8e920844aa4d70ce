#include "trainer/core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "trainer/core/error.h"

namespace trainer {
namespace {

using Words = std::array<std::uint32_t, 4>;

TEST(Philox, KnownAnswersOfRandom123) {  // kat_vectors: philox4x32 10
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomKey, IsOnePhiloxCall) {
  const auto words = philox({3, 0x89abcdef, 0x01234567, 42}, {0x76543210, 0xfedcba98});
  const RandomKey key(0xfedcba9876543210, Purpose::initialise, 0x0123456789abcdef, 42);
  EXPECT_EQ(key.words[0], words[0]);
  EXPECT_EQ(key.words[1], words[1]);
}

TEST(RandomKey, DiffersByEveryPart) {
  std::set<std::array<std::uint32_t, 2>> keys;
  int made = 0;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
    for (const Purpose purpose : {Purpose::order, Purpose::split, Purpose::dropout}) {
      for (const std::uint64_t a : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
        for (const std::uint32_t b : {0U, 1U, 2U}) {
          keys.insert(RandomKey(seed, purpose, a, b).words);
          ++made;
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), static_cast<std::size_t>(made));
}

TEST(RandomStream, CounterIsBlockThenIndex) {
  const RandomKey key(1, Purpose::noise);
  const std::uint64_t index = 0x0123456789abcdef;
  RandomStream stream(key, index);
  for (std::uint32_t block = 0; block < 3; ++block) {
    for (const std::uint32_t word : philox({block, 0, 0x89abcdef, 0x01234567}, key.words)) {
      EXPECT_EQ(stream.next_word(), word);
    }
  }
}

TEST(RandomStream, ValuesAreMadeFromWordsAsDocumented) {
  const RandomKey key(5, Purpose::self_test);
  RandomStream words(key, 9);
  const std::uint32_t first = words.next_word();
  const std::uint32_t second = words.next_word();
  EXPECT_EQ(RandomStream(key, 9).next_word64(), first | std::uint64_t{second} << 32);
  EXPECT_EQ(RandomStream(key, 9).uniform_float(), std::ldexp(static_cast<float>(first >> 8), -24));
  EXPECT_EQ(RandomStream(key, 9).uniform(),
            std::ldexp(static_cast<double>((first | std::uint64_t{second} << 32) >> 11), -53));
  RandomStream after(key, 9);
  after.normal();
  EXPECT_EQ(after.next_word(), words.next_word()) << "normal() draws two words";
}

/// The meaning of a seed: these numbers never change.
TEST(RandomStream, GoldenNumbers) {
  RandomStream stream(RandomKey(2024, Purpose::dropout, 17, 3), 123456789012);
  EXPECT_EQ(stream.next_word(), 3428351162U);
  EXPECT_EQ(stream.uniform_float(), 0.509854317F);
  EXPECT_EQ(stream.uniform(), 0.28181586598235431);
  EXPECT_NEAR(stream.normal(), 1.0915533361587257, 1e-14);
  EXPECT_EQ(stream.below(1000000), 237998U);
}

TEST(RandomStream, MomentsOfUniformAndNormal) {
  constexpr int kDraws = 200000;
  RandomStream stream(RandomKey(3, Purpose::self_test), 0);
  double sum = 0, squares = 0, float_sum = 0, normal_sum = 0, normal_squares = 0, normal_fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = stream.uniform();
    const float f = stream.uniform_float();
    ASSERT_TRUE(u >= 0.0 && u < 1.0 && f >= 0.0F && f < 1.0F);
    const double z = stream.normal();
    ASSERT_TRUE(std::isfinite(z));
    sum += u;
    squares += u * u;
    float_sum += f;
    normal_sum += z;
    normal_squares += z * z;
    normal_fourth += z * z * z * z;
  }
  // Five standard deviations of each mean: variances 1/12, 4/45, 1/12, 1, 2, 96.
  const auto five_sigma = [](double variance) { return 5 * std::sqrt(variance / kDraws); };
  EXPECT_NEAR(sum / kDraws, 0.5, five_sigma(1.0 / 12));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, five_sigma(4.0 / 45));
  EXPECT_NEAR(float_sum / kDraws, 0.5, five_sigma(1.0 / 12));
  EXPECT_NEAR(normal_sum / kDraws, 0.0, five_sigma(1));
  EXPECT_NEAR(normal_squares / kDraws, 1.0, five_sigma(2));
  EXPECT_NEAR(normal_fourth / kDraws, 3.0, five_sigma(96));
}

TEST(RandomStream, BelowIsInRangeAndEven) {
  RandomStream stream(RandomKey(4, Purpose::self_test), 0);
  for (const std::uint64_t n : {1, 2, 3, 7, 10}) {
    constexpr double kDraws = 70000;
    std::vector<double> counts(n, 0.0);
    for (int i = 0; i < static_cast<int>(kDraws); ++i) {
      const std::uint64_t x = stream.below(n);
      ASSERT_LT(x, n);
      counts[x] += 1;
    }
    const double expected = kDraws / static_cast<double>(n);
    for (const double count : counts) EXPECT_NEAR(count, expected, 5 * std::sqrt(expected) + 0.5);
  }
  EXPECT_THROW(stream.below(0), Error);
}

/// Just above two thirds of 2^64: without the rejected words the even results would come twice as often.
TEST(RandomStream, BelowIsEvenWhereRejectionMatters) {
  const std::uint64_t n = 0xAAAAAAAAAAAAAAAB;
  RandomStream stream(RandomKey(6, Purpose::self_test), 0);
  constexpr int kDraws = 20000;
  int odd = 0;
  int lower_half = 0;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t x = stream.below(n);
    ASSERT_LT(x, n);
    odd += static_cast<int>(x & 1U);
    lower_half += x < n / 2 ? 1 : 0;
  }
  const double sigma = std::sqrt(kDraws) / 2;
  EXPECT_NEAR(odd, kDraws / 2, 5 * sigma);
  EXPECT_NEAR(lower_half, kDraws / 2, 5 * sigma);
}

TEST(RandomWords, EqualTheStreamForEveryLength) {
  const RandomKey key(7, Purpose::dropout, 2, 1);
  for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{0x100000001}, ~std::uint64_t{0}}) {
    RandomStream stream(key, index);
    std::vector<std::uint32_t> expected(1100);
    for (std::uint32_t& word : expected) word = stream.next_word();
    for (std::int64_t count = 0; count <= 1100; count = count < 300 ? count + 1 : count + 97) {
      std::vector<std::uint32_t> words(static_cast<std::size_t>(count) + 1, 0xdeadbeef);
      random_words(key, index, words.data(), count);
      ASSERT_EQ(words.back(), 0xdeadbeef) << "wrote beyond " << count;
      words.pop_back();
      ASSERT_TRUE(std::equal(words.begin(), words.end(), expected.begin())) << count << " words at " << index;
    }
  }
}

}  // namespace
}  // namespace trainer
