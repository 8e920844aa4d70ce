#include "trainer/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

void expect_partition(const Split& split, std::int64_t rows) {
  EXPECT_TRUE(std::is_sorted(split.training.begin(), split.training.end()));
  EXPECT_TRUE(std::is_sorted(split.validation.begin(), split.validation.end()));
  std::set<std::int64_t> all(split.training.begin(), split.training.end());
  all.insert(split.validation.begin(), split.validation.end());
  EXPECT_EQ(static_cast<std::int64_t>(all.size()), rows);
  EXPECT_EQ(static_cast<std::int64_t>(split.training.size() + split.validation.size()), rows);
  EXPECT_EQ(*all.begin(), 0);
  EXPECT_EQ(*all.rbegin(), rows - 1);
}

std::string usage_error(const std::string& validation, std::int64_t rows = 100, std::int64_t test_rows = 0) {
  try {
    split_rows(validation, 0, rows, test_rows);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "'" << validation << "' was taken";
  return "";
}

TEST(Split, DrawsAFractionByItsSeed) {
  const Split split = split_rows("0.1", 0, 60000, 0);
  EXPECT_EQ(split.validation.size(), 6000u);
  EXPECT_FALSE(split.validation_is_test);
  expect_partition(split, 60000);
  EXPECT_EQ(split_rows("0.1", 0, 60000, 10).validation, split.validation);
  EXPECT_NE(split_rows("0.1", 1, 60000, 0).validation, split.validation);
  // Drawn over the whole data, not from one end: each tenth has its share within 6 deviations.
  for (std::int64_t tenth = 0; tenth < 10; ++tenth) {
    const auto in_tenth = std::count_if(split.validation.begin(), split.validation.end(),
                                        [&](std::int64_t row) { return row / 6000 == tenth; });
    EXPECT_NEAR(static_cast<double>(in_tenth), 600.0, 6 * 22.1);
  }
}

TEST(Split, RoundsToTheNearestButTakesOneAtLeast) {
  EXPECT_EQ(split_rows("0.1", 0, 14, 0).validation.size(), 1u);
  EXPECT_EQ(split_rows("0.1", 0, 15, 0).validation.size(), 2u);
  EXPECT_EQ(split_rows("0.001", 0, 10, 0).validation.size(), 1u);
  expect_partition(split_rows("0.1", 0, 2, 0), 2);
  expect_partition(split_rows("0.5", 3, 3, 0), 3);
}

TEST(Split, TakesRowsTailTestAndNone) {
  expect_partition(split_rows("25 rows", 0, 100, 0), 100);
  EXPECT_EQ(split_rows("25 rows", 0, 100, 0).validation.size(), 25u);
  const Split tail = split_rows("tail(0.2)", 9, 10, 0);
  EXPECT_EQ(tail.validation, (std::vector<std::int64_t>{8, 9}));
  expect_partition(tail, 10);
  const Split test = split_rows("test", 0, 5, 3);
  EXPECT_TRUE(test.validation_is_test);
  EXPECT_EQ(test.training, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(test.validation, (std::vector<std::int64_t>{0, 1, 2}));
  for (const char* none : {"0", "0.0", "0 rows"}) {
    EXPECT_TRUE(split_rows(none, 0, 5, 3).validation.empty());
    EXPECT_EQ(split_rows(none, 0, 5, 3).training.size(), 5u);
  }
}

TEST(Split, RefusesWhatLeavesNothingOrMeansNothing) {
  EXPECT_NE(usage_error("1").find("below 1"), std::string::npos);
  EXPECT_NE(usage_error("1.0").find("below 1"), std::string::npos);
  EXPECT_NE(usage_error("5000").find("`5000 rows`"), std::string::npos);
  EXPECT_NE(usage_error("-0.1").find("negative"), std::string::npos);
  EXPECT_NE(usage_error("100 rows").find("100"), std::string::npos);
  EXPECT_NE(usage_error("101 rows").find("100"), std::string::npos);
  EXPECT_NE(usage_error("0.999", 10).find("none be left"), std::string::npos);
  EXPECT_NE(usage_error("0.1", 1).find("none be left"), std::string::npos);
  EXPECT_NE(usage_error("test").find("no test split"), std::string::npos);
  for (const char* bad : {"", "nan", "0.1 0.2", "rows", "5 row", "5.5 rows", "-5 rows", "tail", "tail(1)",
                          "tail(0)", "tail(0.1, 2)", "test()", "0.1()", "files(0.1)", "some/path", "0x1"}) {
    usage_error(bad);
  }
}

}  // namespace
}  // namespace trainer::data
