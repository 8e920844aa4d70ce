#include "trainer/study/space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "trainer/core/error.h"

namespace trainer::study {
namespace {

TEST(Space, VariablesHaveTheirScales) {
  const Space space("--tune",
                    "lr=log(1e-4,1) momentum=one_minus_log(0.9,0.999), x=linear(-1,1) n=whole(8,128)");
  const auto& variables = space.variables();
  ASSERT_EQ(variables.size(), 4U);
  EXPECT_EQ(variables[0].at(0), "1e-04");
  EXPECT_EQ(variables[0].at(0.5), "0.01");
  EXPECT_EQ(variables[0].at(1.25), "10");
  EXPECT_EQ(variables[1].at(0.5), "0.99");
  EXPECT_EQ(variables[2].at(0.25), "-0.5");
  EXPECT_EQ(variables[3].at(0.5), "32");
  for (const Variable& variable : variables)
    for (const double place : {0.0, 0.25, 0.5, 1.0})
      EXPECT_NEAR(variable.place_of(variable.at(place)), place, 1e-3) << variable.name;
}

TEST(Space, ListsKeepTheirTexts) {
  const Space space("--vary", "model=list(dense(15) relu dense(outputs), 30-30) lr=list(0.1, 0.01,1e-3)");
  EXPECT_TRUE(space.is_grid());
  EXPECT_EQ(space.combinations(), 6);
  std::set<Settings> all;
  for (std::int64_t i = 0; i < 6; ++i) all.insert(space.settings(space.places(i, 1)));
  EXPECT_EQ(all.size(), 6U);
  EXPECT_EQ(all.begin()->front().second, "30-30");
  EXPECT_EQ(all.rbegin()->front(),
            (std::pair<std::string, std::string>{"model", "dense(15) relu dense(outputs)"}));
}

// Any beginning of the sequence fills the range evenly.
TEST(Space, PointsAreEvenlySpread) {
  const Space one("--tune", "lr=log(1e-4,1)"), two("--tune", "lr=log(1e-4,1) momentum=linear(0,1)");
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    for (const int count : {5, 20, 100}) {
      std::vector<double> places;
      for (int i = 0; i < count; ++i) places.push_back(one.places(i, seed)[0]);
      std::ranges::sort(places);
      double gap = places.front() + 1 - places.back();
      for (std::size_t i = 1; i < places.size(); ++i) gap = std::max(gap, places[i] - places[i - 1]);
      EXPECT_LT(gap, 2.7 / count) << seed;  // three-distance theorem
    }
    int quarters[2][2] = {};
    for (int i = 0; i < 100; ++i) {
      const auto places = two.places(i, seed);
      ++quarters[places[0] < 0.5 ? 0 : 1][places[1] < 0.5 ? 0 : 1];
    }
    for (const auto& row : quarters)
      for (const int count : row) EXPECT_NEAR(count, 25, 4);
  }
  EXPECT_NE(one.places(0, 1), one.places(0, 2));
}

TEST(Space, BadTextsAreUsageErrors) {
  for (const char* source : {"",
                             "lr",
                             "lr=",
                             "lr=log",
                             "lr=log(1)",
                             "lr=log(0,1)",
                             "lr=log(-1,1)",
                             "lr=log(1,0.1)",
                             "lr=log(1,1)",
                             "lr=logg(1,2)",
                             "lr=log(1,2) lr=log(1,2)",
                             "lr=log(1,2,3)",
                             "lr=list()",
                             "lr=list(1,1)",
                             "=log(1,2)",
                             "m=one_minus_log(0.9,1)",
                             "n=whole(0.1,5)",
                             "lr=log(1,nan)",
                             "lr=log(1,2",
                             "lr=log(1,2))",
                             "lr=0.1"})
    EXPECT_THROW(Space("--tune", source), Error) << source;
}

}  // namespace
}  // namespace trainer::study
