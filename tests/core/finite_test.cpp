#include "trainer/core/finite.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace trainer {
namespace {

TEST(AllFinite, FindsAnyValueThatIsNot) {
  using Limits = std::numeric_limits<float>;
  for (const float bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()})
    for (const std::size_t size : {1U, 7U, 64U, 1000U, (1U << 20) + 3U})
      for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
        std::vector<float> values(size, Limits::max());
        EXPECT_TRUE(all_finite(values.data(), static_cast<std::int64_t>(size)));
        values[place] = bad;
        EXPECT_FALSE(all_finite(values.data(), static_cast<std::int64_t>(size))) << size << " " << place;
      }
  const float edge[] = {0.0F, -0.0F, Limits::denorm_min(), Limits::lowest(), Limits::max()};
  EXPECT_TRUE(all_finite(edge, 5));
  EXPECT_TRUE(all_finite(nullptr, 0));
}

}  // namespace
}  // namespace trainer
