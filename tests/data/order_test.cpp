#include "trainer/data/order.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::vector<std::int64_t> epoch_rows(const EpochOrder& order, std::int64_t epoch) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(order.size()));
  order.rows_at(epoch, 0, out);
  return out;
}

TEST(EpochOrder, IsAPermutationOfTheTrainingRowsThatChangesEveryEpoch) {
  for (const std::int64_t size : {1, 2, 3, 10, 257, 1000}) {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < size; ++i) rows.push_back(5 + 3 * i);
    const EpochOrder order(7, rows);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t> sorted = epoch_rows(order, epoch);
      std::sort(sorted.begin(), sorted.end());
      EXPECT_EQ(sorted, rows);
    }
    if (size >= 257) {
      EXPECT_NE(epoch_rows(order, 0), rows);
      EXPECT_NE(epoch_rows(order, 0), epoch_rows(order, 1));
      EXPECT_NE(epoch_rows(order, 0), epoch_rows(EpochOrder(8, rows), 0));
    }
  }
}

TEST(EpochOrder, AnyPlaceCanBeAskedForAlone) {
  std::vector<std::int64_t> rows(100);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i * i);
  const EpochOrder order(3, rows, "rows");
  const std::vector<std::int64_t> all = epoch_rows(order, 12);
  for (std::int64_t place = 99; place >= 0; --place)
    EXPECT_EQ(order.row_at(12, place), all[static_cast<std::size_t>(place)]);
  std::vector<std::int64_t> middle(9);
  order.rows_at(12, 40, middle);
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(), all.begin() + 40));
}

TEST(EpochOrder, NoneKeepsTheOrderOfTheData) {
  const std::vector<std::int64_t> rows{2, 3, 5, 7, 11};
  EXPECT_EQ(epoch_rows(EpochOrder(1, rows, "none"), 4), rows);
  EXPECT_EQ(epoch_rows(EpochOrder(1, rows, "false"), 0), rows);
  EXPECT_EQ(EpochOrder(1, rows, "none").row_at(9, 3), 7);
}

TEST(EpochOrder, RefusesUnknownNames) {
  try {
    EpochOrder(1, {0}, "row");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
}

}  // namespace
}  // namespace trainer::data
