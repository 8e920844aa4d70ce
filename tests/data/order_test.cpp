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
    const EpochOrder order(7, RowSet::of(rows));
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t> sorted = epoch_rows(order, epoch);
      std::sort(sorted.begin(), sorted.end());
      EXPECT_EQ(sorted, rows);
    }
    if (size >= 257) {
      EXPECT_NE(epoch_rows(order, 0), rows);
      EXPECT_NE(epoch_rows(order, 0), epoch_rows(order, 1));
      EXPECT_NE(epoch_rows(order, 0), epoch_rows(EpochOrder(8, RowSet::of(rows)), 0));
    }
  }
}

TEST(EpochOrder, AnyPlaceCanBeAskedForAlone) {
  std::vector<std::int64_t> rows(100);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i * i);
  const EpochOrder order(3, RowSet::of(rows), "rows");
  const std::vector<std::int64_t> all = epoch_rows(order, 12);
  for (std::int64_t place = 99; place >= 0; --place)
    EXPECT_EQ(order.row_at(12, place), all[static_cast<std::size_t>(place)]);
  std::vector<std::int64_t> middle(9);
  order.rows_at(12, 40, middle);
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(), all.begin() + 40));
}

TEST(EpochOrder, NoneKeepsTheOrderOfTheData) {
  const std::vector<std::int64_t> rows{2, 3, 5, 7, 11};
  EXPECT_EQ(epoch_rows(EpochOrder(1, RowSet::of(rows), "none"), 4), rows);
  EXPECT_EQ(epoch_rows(EpochOrder(1, RowSet::of(rows), "false"), 0), rows);
  EXPECT_EQ(EpochOrder(1, RowSet::of(rows), "none").row_at(9, 3), 7);
}

/// Uneven blocks, and training rows that leave some of each, and all of one, out.
const std::vector<std::int64_t> kBlocks{0, 7, 30, 31, 64, 90, 100, 150};
constexpr std::int64_t kRows = 170;

RowSet some_rows() {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < kRows; ++row)
    if (row % 10 != 3 && (row < 90 || row >= 100)) rows.push_back(row);
  return RowSet::of(rows);
}

TEST(EpochOrder, ChunksGivesEveryRowOnceAndAnyPlaceAlone) {
  const RowSet rows = some_rows();
  for (const char* shuffle : {"chunks(1)", "chunks(2)", "chunks(3)", "chunks(100)"}) {
    const EpochOrder order(5, rows, shuffle, kBlocks);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t> all = epoch_rows(order, epoch);
      for (std::int64_t place = order.size() - 1; place >= 0; --place)
        ASSERT_EQ(order.row_at(epoch, place), all[static_cast<std::size_t>(place)]);
      std::sort(all.begin(), all.end());
      EXPECT_EQ(all, rows.list());
    }
    EXPECT_NE(epoch_rows(order, 0), epoch_rows(order, 1));
    EXPECT_NE(epoch_rows(order, 0), epoch_rows(EpochOrder(6, rows, shuffle, kBlocks), 0));
  }
}

TEST(EpochOrder, AWindowHoldsTheRowsOfItsBlocksAlone) {
  for (const char* shuffle : {"chunks(2)", "none"}) {
    const EpochOrder order(5, some_rows(), shuffle, kBlocks);
    ASSERT_TRUE(order.has_windows());
    std::int64_t window = -1, windows = 0;
    std::vector<std::int64_t> blocks;
    for (std::int64_t place = 0; place < order.size(); ++place) {
      const std::int64_t here = order.window_at(4, place);
      if (here != window) {
        EXPECT_EQ(here, window + 1);
        window = here;
        ++windows;
        blocks = order.blocks_of(4, window);
        EXPECT_LE(static_cast<std::int64_t>(blocks.size()), order.window_blocks());
      }
      const std::int64_t row = order.row_at(4, place);
      const auto block = std::upper_bound(kBlocks.begin(), kBlocks.end(), row) - kBlocks.begin() - 1;
      EXPECT_EQ(std::ranges::count(blocks, block), 1) << row;
    }
    EXPECT_EQ(windows, order.windows());
  }
  // 7 blocks hold training rows; the two smallest of them, of rows 30 and 0 to 6, hold 1 - 0 and 6.
  EXPECT_EQ(EpochOrder(5, some_rows(), "chunks(2)", kBlocks).least_window_rows(), 1 + 6);
}

TEST(EpochOrder, ShuffleFollowsSizeAndLayout) {
  DataFacts facts;
  facts.rows = 1000;
  facts.features = 1024;
  facts.kind = TargetKind::none;
  facts.element_type = "float32";
  facts.blocks = {0, 256, 512, 768};
  EXPECT_EQ(resolved_shuffle("", facts), "rows");
  EXPECT_EQ(resolved_shuffle("false", facts), "none");
  EXPECT_EQ(resolved_shuffle("chunks", facts), "chunks(128)");  // blocks of 1 MiB in 128 MiB
  EXPECT_EQ(resolved_shuffle("chunks(7)", facts), "chunks(7)");
  facts.rows = 2'000'000;  // of 4 KiB
  facts.blocks = {0, 1'000'000};
  EXPECT_EQ(resolved_shuffle("", facts), "chunks(2)");
  EXPECT_EQ(resolved_shuffle("rows", facts), "rows");
  for (const char* bad : {"chunks(0)", "chunks(a)", "rows(2)", "chunk", "rows none"})
    EXPECT_THROW(resolved_shuffle(bad, facts), Error) << bad;
}

TEST(EpochOrder, RefusesUnknownNames) {
  try {
    EpochOrder(1, RowSet::all(1), "row");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
}

}  // namespace
}  // namespace trainer::data
