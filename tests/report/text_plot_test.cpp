#include "trainer/report/text_plot.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trainer::report {
namespace {

TEST(Sparkline, ShowsValuesBetweenTheLeastAndTheGreatest) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({7, 0}, 40), "█▁");
  EXPECT_EQ(sparkline({3}, 40), "▁");
  EXPECT_EQ(sparkline({2, 2, 2}, 40), "▁▁▁");
}

TEST(Sparkline, AveragesWhereThereAreMoreValuesThanPlaces) {
  EXPECT_EQ(sparkline({0, 0, 7, 7, 3, 4, 14, 0}, 4), "▁█▅█");
}

TEST(Sparkline, LeavesHolesForWhatIsNotFinite) {
  EXPECT_EQ(sparkline({0, std::nan(""), HUGE_VAL, 7}, 10), "▁  █");
  EXPECT_EQ(sparkline({std::nan("")}, 10), "");
  EXPECT_EQ(sparkline({}, 10), "");
}

TEST(TextPlot, ShowsCurveAndEnds) {
  EXPECT_EQ(text_plot("loss", {0, 1, 2, 3, 4}, {5, 4, 3, 2, 1}, 12, 7),
            "   loss\n"
            "5 |*        \n"
            "  |  *      \n"
            "  |    *    \n"
            "  |      *  \n"
            "1 |        *\n"
            "   0       4\n");
}

TEST(TextPlot, IsLogarithmicOverDecades) {
  const std::string plot = text_plot("loss", {0, 1, 2}, {100, 10, 1}, 15, 5);
  EXPECT_EQ(plot,
            "     loss (logarithmic)\n"
            "100 |*         \n"
            "    |     *    \n"
            "  1 |         *\n"
            "     0        2\n");
}

TEST(TextPlot, LeavesOutWhatIsNotFinite) {
  const std::string plot = text_plot("loss", {0, 1, 2, 3}, {std::nan(""), 3, HUGE_VAL, 1}, 12, 5);
  EXPECT_NE(plot.find("3 |*"), std::string::npos) << plot;
  EXPECT_NE(plot.find("1 |        *"), std::string::npos) << plot;
  EXPECT_EQ(text_plot("loss", {0, 1}, {std::nan(""), 1}, 12, 5), "");
  EXPECT_EQ(text_plot("loss", {}, {}, 12, 5), "");
}

}  // namespace
}  // namespace trainer::report
