#include "trainer/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// A split of rows in one file, without blocks.
Split split_plain(const std::string& validation, std::uint64_t seed, std::int64_t rows,
                  std::int64_t test_rows) {
  return split_rows(validation, seed, {.rows = rows, .test_rows = test_rows});
}

void expect_partition(const Split& split, std::int64_t rows) {
  std::set<std::int64_t> all;
  for (const RowSet* part : {&split.training, &split.validation})
    for (const std::int64_t row : part->list()) EXPECT_TRUE(all.insert(row).second) << row;
  EXPECT_EQ(static_cast<std::int64_t>(all.size()), rows);
  EXPECT_EQ(static_cast<std::int64_t>(split.training.size() + split.validation.size()), rows);
  EXPECT_EQ(*all.begin(), 0);
  EXPECT_EQ(*all.rbegin(), rows - 1);
}

std::string usage_error(const std::string& validation, std::int64_t rows = 100, std::int64_t test_rows = 0) {
  try {
    split_plain(validation, 0, rows, test_rows);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "'" << validation << "' was taken";
  return "";
}

TEST(Split, DrawsAFractionByItsSeed) {
  const Split split = split_plain("0.1", 0, 60000, 0);
  EXPECT_EQ(split.validation.size(), 6000);
  EXPECT_EQ(split.of, Split::Of::training);
  expect_partition(split, 60000);
  EXPECT_EQ(split_plain("0.1", 0, 60000, 10).validation, split.validation);
  EXPECT_NE(split_plain("0.1", 1, 60000, 0).validation, split.validation);
  const std::vector<std::int64_t> rows = split.validation.list();
  // Drawn over the whole data, not from one end: each tenth has its share within 6 deviations.
  for (std::int64_t tenth = 0; tenth < 10; ++tenth) {
    const auto in_tenth = std::ranges::count_if(rows, [&](std::int64_t row) { return row / 6000 == tenth; });
    EXPECT_NEAR(static_cast<double>(in_tenth), 600.0, 6 * 22.1);
  }
}

TEST(Split, RoundsToTheNearestButTakesOneAtLeast) {
  EXPECT_EQ(split_plain("0.1", 0, 14, 0).validation.size(), 1);
  EXPECT_EQ(split_plain("0.1", 0, 15, 0).validation.size(), 2);
  EXPECT_EQ(split_plain("0.001", 0, 10, 0).validation.size(), 1);
  expect_partition(split_plain("0.1", 0, 2, 0), 2);
  expect_partition(split_plain("0.5", 3, 3, 0), 3);
}

TEST(Split, TakesRowsTailTestAndNone) {
  expect_partition(split_plain("25 rows", 0, 100, 0), 100);
  EXPECT_EQ(split_plain("25 rows", 0, 100, 0).validation.size(), 25);
  const Split tail = split_plain("tail(0.2)", 9, 10, 0);
  EXPECT_EQ(tail.validation.list(), (std::vector<std::int64_t>{8, 9}));
  expect_partition(tail, 10);
  const Split test = split_plain("test", 0, 5, 3);
  EXPECT_EQ(test.of, Split::Of::test);
  EXPECT_EQ(test.training.list(), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(test.validation.list(), (std::vector<std::int64_t>{0, 1, 2}));
  for (const char* none : {"0", "0.0", "0 rows"}) {
    EXPECT_TRUE(split_plain(none, 0, 5, 3).validation.empty());
    EXPECT_EQ(split_plain(none, 0, 5, 3).training.size(), 5);
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
                          "tail(0)", "tail(0.1, 2)", "test()", "0.1()", "files", "files(0.1, 1)", "groups()",
                          "groups(a, 2)", "some/path", "0x1"}) {
    usage_error(bad);
  }
}

TEST(Split, DrawsWholeBlocksTheLastInPart) {
  const std::vector<std::int64_t> blocks{0, 10, 20, 50, 60};
  const Splittable data{.rows = 100, .blocks = blocks};
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Split split = split_rows("25 rows", seed, data);
    EXPECT_EQ(split.validation.size(), 25);
    expect_partition(split, 100);
    for (const Range& run : split.validation.runs())
      EXPECT_TRUE(std::ranges::count(blocks, run.begin) == 1) << run.begin;
  }
  std::set<std::int64_t> firsts;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    firsts.insert(split_rows("1 rows", seed, data).validation[0]);
  EXPECT_GT(firsts.size(), 2u);
}

TEST(Split, KeepsFilesAndGroupsWhole) {
  Splittable data{.rows = 100, .files = {0, 10, 40, 70, 90}};
  const Split files = split_rows("files(0.3)", 3, data);
  expect_partition(files, 100);
  for (const Range& run : files.validation.runs()) {
    EXPECT_EQ(std::ranges::count(data.files, run.begin), 1);
    EXPECT_TRUE(run.end == 100 || std::ranges::count(data.files, run.end) == 1);
  }
  std::vector<std::int64_t> of_row;
  for (std::int64_t row = 0; row < 100; ++row) of_row.push_back(row % 7 * 1000);
  data.groups = [&](const std::string& path) {
    EXPECT_EQ(path, "/run/id");
    return of_row;
  };
  EXPECT_EQ(groups_path("groups(/run/id, 0.3)"), "/run/id");
  EXPECT_EQ(groups_path("groups(run id)"), "run id");
  for (const char* other : {"0.1", "tail(0.1)", "groups(a, 2)", "groups()"})
    EXPECT_EQ(groups_path(other), "");
  const Split groups = split_rows("groups(/run/id, 0.3)", 3, data);
  expect_partition(groups, 100);
  EXPECT_NEAR(static_cast<double>(groups.validation.size()), 30, 8);
  std::set<std::int64_t> trains;
  for (const std::int64_t row : groups.training.list()) trains.insert(row % 7);
  for (const std::int64_t row : groups.validation.list()) EXPECT_FALSE(trains.contains(row % 7));
  EXPECT_EQ(split_rows("groups(/run/id)", 3, data).validation.size() / 8, 1);  // one group of 14 or 15
}

TEST(Split, TakesFilesOfTheirOwnAsTheyAre) {
  const Split split = split_rows("other.h5", 0, {.rows = 10, .own_rows = 4});
  EXPECT_EQ(split.of, Split::Of::own);
  EXPECT_EQ(split.training.size(), 10);
  EXPECT_EQ(split.validation.size(), 4);
}

TEST(RowSet, FindsRowsByPlaceAndPlacesByRow) {
  const RowSet rows({{2, 5}, {5, 6}, {9, 9}, {20, 22}});
  EXPECT_EQ(rows.list(), (std::vector<std::int64_t>{2, 3, 4, 5, 20, 21}));
  EXPECT_EQ(rows.runs().size(), 2u);
  EXPECT_EQ(RowSet::of(rows.list()), rows);
  for (std::int64_t place = 0; place < rows.size(); ++place) {
    EXPECT_EQ(rows.count_below(rows[place]), place);
    EXPECT_EQ(rows.count_below(rows[place] + 1), place + 1);
  }
  EXPECT_EQ(rows.count_below(0), 0);
  EXPECT_EQ(rows.count_below(1000), 6);
  EXPECT_THROW(RowSet({{3, 5}, {4, 6}}), Error);
  EXPECT_EQ(spread(RowSet::all(10), 3).list(), (std::vector<std::int64_t>{0, 3, 6}));
}

}  // namespace
}  // namespace trainer::data
