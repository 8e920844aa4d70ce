// Rows that lack a value: left out, or filled with the mean of their column.

#include "missing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "memory_data.h"
#include "share_over.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

/// Rows of one input, which is the row's number, and one value, its double; NaN where `lacks` says so.
Source numbers(std::int64_t rows, const std::function<bool(std::int64_t)>& no_input,
               const std::function<bool(std::int64_t)>& no_value) {
  Source source;
  source.facts.name = "numbers";
  source.facts.rows = rows;
  source.facts.features = 1;
  source.facts.feature_shape = {1};
  source.facts.kind = TargetKind::values;
  source.facts.targets = 1;
  source.facts.element_type = "float32";
  source.any_rows = true;
  source.read = [=](Range range, const RowStore& store) {
    for (std::int64_t row = range.begin; row < range.end; ++row) {
      const auto number = static_cast<float>(row);
      if (store.floats != nullptr) store.floats[row - range.begin] = no_input(row) ? kNone : number;
      if (store.values != nullptr) store.values[row - range.begin] = no_value(row) ? kNone : 2 * number;
    }
  };
  source.groups = [=](const std::string&) {
    std::vector<std::int64_t> of_row;
    for (std::int64_t row = 0; row < rows; ++row) of_row.push_back(row / 10);
    return of_row;
  };
  return source;
}

bool never(std::int64_t) { return false; }

TEST(Missing, RowsWithoutAValueAreLeftOutWhereverTheyAre) {
  constexpr std::int64_t kRows = 300'000;  // several blocks
  const auto no_input = [](std::int64_t row) { return row % 7 == 0 || (row > 1000 && row < 150'000); };
  const auto no_value = [](std::int64_t row) { return row == kRows - 1; };
  Source all = numbers(kRows, no_input, no_value);
  all.pieces = {0, 500, 1200, 140'000, 200'000};
  all.files = {0, 1100, 150'000};
  std::string origin = "here";
  const Source kept = without_missing(all, share_alone(), origin);
  std::vector<float> wanted;
  for (std::int64_t row = 0; row < kRows; ++row)
    if (!no_input(row) && !no_value(row)) wanted.push_back(static_cast<float>(row));
  ASSERT_EQ(kept.facts.rows, static_cast<std::int64_t>(wanted.size()));
  EXPECT_EQ(origin, text("here, ", kRows - kept.facts.rows, " rows with missing values left out"));
  std::vector<float> inputs(wanted.size()), values(wanted.size());
  kept.read({0, kept.facts.rows}, {.floats = inputs.data(), .values = values.data()});
  EXPECT_EQ(inputs, wanted);
  for (const auto& [begin, end] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 1}, {850, 870}, {5, 5}}) {
    std::vector<float> some(static_cast<std::size_t>(end - begin));
    kept.read({begin, end}, {.floats = some.data()});
    EXPECT_TRUE(std::equal(some.begin(), some.end(), wanted.begin() + begin));
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_EQ(values[i], 2 * wanted[i]);
  // Rows 0 to 1000 keep 858; all of 1001 to 149,999 are gone, and what began there begins at the next row.
  EXPECT_EQ(kept.pieces, (std::vector<std::int64_t>{0, 428, 858, 858 + 42857}));
  EXPECT_EQ(kept.files, (std::vector<std::int64_t>{0, 858}));
  EXPECT_EQ(kept.groups("").at(0), 0);
  EXPECT_EQ(kept.groups("").at(858), 15000);
}

TEST(Missing, NothingIsChangedWhereNothingIsMissingAndAllMissingIsAnError) {
  std::string origin = "here";
  EXPECT_EQ(without_missing(numbers(10, never, never), share_alone(), origin).facts.rows, 10);
  EXPECT_EQ(origin, "here");
  EXPECT_THROW(without_missing(numbers(
                                   10, [](std::int64_t) { return true; }, never),
                               share_alone(), origin),
               Error);
}

TEST(Missing, AMissingValueIsTheMeanOfTheOthers) {
  // Columns of means 2 and 10; one value of each is missing, and the third column is constant.
  const std::vector<float> raw{1, kNone, 5, kNone, 8, 5, 3, 12, 5, 2, 10, 5};
  const MemoryData data(3, raw, 1, std::vector<float>(4));
  const comm::Communicator alone = comm::Communicator::alone();
  const Scaling scaling = input_scaling(alone, data, RowSet::all(4), "feature", true);
  EXPECT_TRUE(scaling.fills_missing());
  EXPECT_EQ(scaling.mean(), (std::vector<double>{2, 10, 5}));
  EXPECT_NEAR(scaling.deviation()[0], std::sqrt(2.0 / 3), 1e-15);
  EXPECT_NEAR(scaling.deviation()[1], std::sqrt(8.0 / 3), 1e-15);
  std::vector<float> scaled(12);
  scaling.apply(raw.data(), 4, scaled.data());
  EXPECT_EQ(scaled[1], 0);
  EXPECT_EQ(scaled[3], 0);
  EXPECT_EQ(scaled[0], static_cast<float>(1 - 2) / static_cast<float>(scaling.deviation()[0]));
  for (const float value : scaled) EXPECT_TRUE(std::isfinite(value));
  const Scaling global = input_scaling(alone, data, RowSet::all(4), "global", true);
  EXPECT_NEAR(global.mean()[0], (6 + 30 + 20) / 10.0, 1e-14);
  EXPECT_THROW(input_scaling(alone, data, RowSet::all(4), "none", true), Error);
  EXPECT_THROW(input_scaling(alone, data, RowSet::all(1), "feature", true), Error);  // column 1 has no value
}

}  // namespace
}  // namespace trainer::data
