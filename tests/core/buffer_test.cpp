#include "trainer/core/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace trainer {
namespace {

TEST(Buffer, IsZeroedAndAligned) {
  for (const std::int64_t size : {1, 3, 16, 1000}) {
    const Buffer<float> buffer(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](float x) { return x == 0.0F; }));
  }
}

TEST(Buffer, EmptyHoldsNothing) {
  EXPECT_EQ(Buffer<int>().data(), nullptr);
  EXPECT_EQ(Buffer<int>(0).data(), nullptr);
}

TEST(Buffer, RefusesImpossibleSizes) {
  EXPECT_THROW(Buffer<double>(-1), Error);
  EXPECT_THROW(Buffer<double>(std::numeric_limits<std::int64_t>::max() / 8), Error);
  EXPECT_THROW(Buffer<double>(std::numeric_limits<std::int64_t>::max()), Error);
}

TEST(Buffer, MovesItsMemory) {
  Buffer<int> a(4);
  a[2] = 5;
  const int* const memory = a.data();
  Buffer<int> b(std::move(a));
  EXPECT_EQ(b.data(), memory);
  Buffer<int> c(9);
  c = std::move(b);
  EXPECT_EQ(c.data(), memory);
  EXPECT_EQ(c.size(), 4);
  EXPECT_EQ(c[2], 5);
  EXPECT_EQ(b.size(), 0);  // NOLINT(bugprone-use-after-move): emptied, by contract
}

}  // namespace
}  // namespace trainer
