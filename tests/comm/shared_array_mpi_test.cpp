#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "trainer/comm/shared_array.h"
#include "trainer/core/error.h"

namespace trainer::comm {
namespace {

class SharedArrayTest : public testing::Test {
 protected:
  /// Fills where it must be filled, and looks on every rank.
  void fill_and_check(SharedArray& array, int salt) const {
    if (array.fills()) {
      for (std::int64_t i = 0; i < array.bytes(); ++i) array.data()[i] = value(i, salt);
    }
    array.publish();
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < array.bytes(); ++i)
      wrong += std::as_const(array).data()[i] != value(i, salt) ? 1 : 0;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data()) % 64, 0U);
  }
  static std::byte value(std::int64_t i, int salt) {
    return static_cast<std::byte>((i * 31 + i / 257 + salt) & 255);
  }

  Environment environment_{nullptr, nullptr};
  Communicator world_ = Communicator::world(environment_);
  Communicator node_ = world_.node();
};

TEST_F(SharedArrayTest, OneRankFillsAndAllSee) {
  SharedArray array(node_, 300001);
  EXPECT_EQ(array.is_shared(), node_.size() > 1);
  const auto filling = node_.all_gather(std::int64_t{array.fills()});
  EXPECT_EQ(std::count(filling.begin(), filling.end(), 1), 1);
  fill_and_check(array, 1);
}

TEST_F(SharedArrayTest, ItIsReallyOneCopy) {
  if (node_.size() < 2) GTEST_SKIP() << "needs 2 ranks";
  SharedArray array(node_, 100);
  if (array.fills()) std::memset(array.data(), 1, 100);
  array.publish();
  if (node_.rank() == node_.size() - 1) array.data()[42] = std::byte{9};
  array.publish();
  EXPECT_EQ(array.data()[42], std::byte{9});
  node_.barrier();
}

TEST_F(SharedArrayTest, PrivateCopiesWhenSharingIsNotAllowed) {
  SharedArray array(node_, 5000, false);
  EXPECT_FALSE(array.is_shared());
  EXPECT_TRUE(array.fills());
  fill_and_check(array, 2);
}

TEST_F(SharedArrayTest, PrivateCopiesWhenTheFolderBehindItHasNoRoom) {
  // Only the first rank of the node asks, and all follow: here the others see another answer.
  if (node_.rank() == 0) setenv("OMPI_MCA_osc_sm_backing_directory", "/proc", 1);
  SharedArray array(node_, 5000);
  unsetenv("OMPI_MCA_osc_sm_backing_directory");
  EXPECT_FALSE(array.is_shared());
  fill_and_check(array, 3);
}

TEST_F(SharedArrayTest, NothingAndMoves) {
  SharedArray nothing(node_, 0);
  EXPECT_EQ(nothing.bytes(), 0);
  nothing.publish();
  SharedArray array(node_, 777);
  SharedArray moved(std::move(array));
  fill_and_check(moved, 4);
  moved = SharedArray(node_, 1024);
  fill_and_check(moved, 5);
}

TEST_F(SharedArrayTest, MoreThanThereIsIsAnErrorOnAll) {
  EXPECT_THROW(SharedArray(node_, std::int64_t{1} << 62), Error);
  EXPECT_THROW(SharedArray(node_, -1), Error);
}

}  // namespace
}  // namespace trainer::comm
