#include "trainer/report/figure.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "program_path.h"
#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Figure line_figure(const std::string& stem) {
  return {.stem = stem,
          .title = "Loss",
          .x = {.label = "epochs"},
          .y = {.label = "loss"},
          .series = {{.label = "train", .style = Style::line, .x = {0, 1, 2}, .y = {0.1, kNan, 1.0 / 3}}}};
}

/// One of each kind.
std::vector<Figure> all_kinds() {
  std::vector<Figure> figures = {line_figure("lines")};
  Figure spread{.stem = "spread",
                .title = "Spread",
                .x = {.label = "rows", .log = true},
                .y = {.label = "y", .log = true}};
  for (const Style style : {Style::line, Style::points, Style::line_points, Style::dashed})
    spread.series.push_back({.label = "s",
                             .style = style,
                             .x = {32, 64, 128},
                             .y = {1, 0, 3},
                             .low = {-HUGE_VAL, 0, 2},
                             .high = {2, 0, HUGE_VAL}});
  figures.push_back(spread);
  figures.push_back(
      {.stem = "bars",
       .title = "Bars",
       .x = {.label = "run", .names = {"a", "b"}},
       .y = {.label = "%"},
       .series = {{.label = "one", .style = Style::bars, .x = {0, 1}, .y = {1, 2}},
                  {.label = "two", .style = Style::bars, .x = {0, 1}, .y = {3, 4}, .low = {1, 2}}}});
  figures.push_back({.stem = "grid",
                     .title = "Grid",
                     .x = {.label = "x", .names = {"c", "d"}},
                     .y = {.label = "y", .reversed = true},
                     .grid = Grid{.x = {0, 1},
                                  .y = {0, 1},
                                  .values = {0, 1, 100, kNan},
                                  .label = "rows",
                                  .log = true,
                                  .numbers = true,
                                  .contours = {2, 50}}});
  figures.push_back({.stem = "images",
                     .title = "Images",
                     .pictures = Pictures{.list = {{"one\ntwo", 2, 3, 1, {0, 1, 2, 3, 4, 5}},
                                                   {"three", 2, 3, 1, {0, 1, 2, 3, 4, NAN}}},
                                          .label = "v"}});
  figures.push_back({.stem = "colours",
                     .title = "Colours",
                     .pictures = Pictures{.list = {{"", 1, 2, 3, {0, 1, 2, 3, 4, 5}}}}});
  figures.push_back({.stem = "nothing",
                     .title = "Nothing",
                     .x = {.label = "x", .log = true},
                     .y = {.label = "y"},
                     .series = {{.label = "none", .x = {-1, 0, kNan}, .y = {1, 2, 3}}}});
  return figures;
}

void expect_pictures(const std::string& folder, const std::string& stem) {
  const std::string svg = content_of(folder + "/" + stem + ".svg");
  EXPECT_NE(svg.find("<svg"), std::string::npos) << stem;
  EXPECT_NE(svg.find("</svg>"), std::string::npos) << stem;
  EXPECT_EQ(content_of(folder + "/" + stem + ".png").substr(1, 3), "PNG") << stem;
  const std::string pdf = content_of(folder + "/" + stem + ".pdf");
  EXPECT_EQ(pdf.substr(0, 5), "%PDF-") << stem;
  EXPECT_NE(pdf.find("%%EOF"), std::string::npos) << stem;
}

TEST(Figure, NumbersBehindItReadBackExactly) {
  const TemporaryFolder folder, empty;
  const ProgramPath path(empty.path());
  (void)draw(all_kinds(), folder.path());
  EXPECT_EQ(content_of(folder / "lines.csv"),
            "series,epochs,loss\ntrain,0,0.1\ntrain,1,nan\ntrain,2,0.3333333333333333\n");
  EXPECT_EQ(content_of(folder / "bars.csv"),
            "series,run,%,low,high\none,a,1,,\none,b,2,,\ntwo,a,3,1,\ntwo,b,4,2,\n");
  EXPECT_EQ(content_of(folder / "grid.csv"),
            "series,x,y,rows\ngrid,c,0,0\ngrid,d,0,1\ngrid,c,1,100\ngrid,d,1,nan\n");
  EXPECT_EQ(content_of(folder / "colours.csv"),
            "picture,caption,row,column,channel,value\n0,,0,0,0,0\n0,,0,0,1,1\n0,,0,0,2,2\n0,,0,1,0,3\n0,,0,"
            "1,1,4\n0,,0,1,2,5\n");
}

TEST(Figure, EveryKindIsDrawnInThreeFormats) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder;
  const std::vector<Figure> figures = all_kinds();
  const Drawn drawn = draw(figures, folder / "deep/er");
  EXPECT_EQ(drawn.note, "");
  EXPECT_EQ(drawn.folder, folder / "deep/er");
  for (const Figure& figure : figures) {
    EXPECT_TRUE(drawn.has(figure.stem));
    expect_pictures(drawn.folder, figure.stem);
  }
  EXPECT_NE(content_of(folder / "deep/er/nothing.svg").find("no values"), std::string::npos);
  const auto files = std::distance(fs::directory_iterator(folder / "deep/er"), fs::directory_iterator());
  EXPECT_EQ(files, 4 * std::ssize(figures));  // nothing else is left there
}

TEST(Figure, LabelsAreShownAsTheyAre) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder;
  const std::string evil = "a'b\"`touch " + (folder / "touched") + "`$x @y %s {/b c}_2 \\\n<b>&\xFF\x01é";
  Figure figure = line_figure("labels");
  figure.title = figure.x.label = figure.y.label = figure.series[0].label = evil;
  Figure names = all_kinds()[2];
  names.x.names = {evil, "system('touch " + (folder / "touched") + "')"};
  Figure images = all_kinds()[4];
  images.pictures->label = images.pictures->list[0].caption = evil;
  Figure grid = all_kinds()[3];
  grid.grid->label = evil;
  const Drawn drawn = draw({figure, names, images, grid}, folder.path());
  EXPECT_EQ(drawn.note, "");
  EXPECT_FALSE(fs::exists(folder / "touched"));
  const std::string svg = content_of(folder / "labels.svg");
  const std::string shown =
      "a'b\"`touch " + (folder / "touched") + "`$x @y %s {/b c}_2 \\ &lt;b>&amp;\uFFFD\uFFFDé";
  EXPECT_NE(svg.find(shown.substr(0, 60)), std::string::npos) << svg;
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
}

TEST(Figure, WithoutGnuplotThereAreNumbersAndANote) {
  const TemporaryFolder folder, empty;
  put(folder / "lines.svg", "of a former call");
  const ProgramPath path(empty.path());
  const Drawn drawn = draw({line_figure("lines")}, folder.path());
  EXPECT_TRUE(drawn.stems.empty());
  EXPECT_NE(drawn.note.find("gnuplot is not installed"), std::string::npos) << drawn.note;
  EXPECT_NE(drawn.note.find("apt-get install gnuplot-nox"), std::string::npos) << drawn.note;
  EXPECT_NE(drawn.note.find(folder / "*.csv"), std::string::npos) << drawn.note;
  EXPECT_TRUE(fs::exists(folder / "lines.csv"));
  EXPECT_FALSE(fs::exists(folder / "lines.svg"));
}

TEST(Figure, AGnuplotThatFailsIsQuoted) {
  const TemporaryFolder folder, programs;
  put_program(programs / "gnuplot",
              "echo one >&2; : > one.svg; : > one.png; : > one.pdf; echo '\"script\" line 7: no such thing' "
              ">&2; exit 3\n");
  const ProgramPath path(programs.path());
  const Drawn drawn = draw({line_figure("one"), line_figure("two")}, folder.path());
  EXPECT_EQ(drawn.stems, (std::vector<std::string>{"one"}));
  EXPECT_EQ(drawn.note,
            "1 of 2 pictures are missing: gnuplot failed with code 3: \"script\" line 7: no such thing; the "
            "numbers behind them are in " +
                folder.path() + "/*.csv");
  EXPECT_TRUE(fs::exists(folder / "one.pdf"));
  EXPECT_FALSE(fs::exists(folder / "two.pdf"));
  put_program(programs / "gnuplot", "kill -9 $$\n");
  EXPECT_NE(draw({line_figure("one")}, folder.path()).note.find("signal 9"), std::string::npos);
}

TEST(Figure, ItPollsWhileGnuplotDraws) {
  const TemporaryFolder folder, programs;
  put_program(programs / "gnuplot", "/bin/sleep 0.2\n");
  const ProgramPath path(programs.path());
  int polled = 0;
  (void)draw({line_figure("one")}, folder.path(), [&] { ++polled; });
  EXPECT_GT(polled, 1);
  put_program(programs / "gnuplot", "echo $$ > ../process; exec /bin/sleep 600\n");
  const auto fails = [&] {
    if (fs::exists(folder / "process") && fs::file_size(folder / "process") > 1)
      throw Error(ErrorKind::communication, "a rank is gone");
  };
  EXPECT_THROW((void)draw({line_figure("one")}, folder.path(), fails), Error);
  int process = 0;
  std::ifstream(folder / "process") >> process;
  EXPECT_GT(process, 0);
  EXPECT_NE(::kill(process, 0), 0) << "gnuplot lives on";
}

TEST(Figure, AFolderThatCannotBeWrittenIsAnError) {
  const TemporaryFolder folder;
  put(folder / "file", "");
  try {
    (void)draw({line_figure("one")}, folder / "file/figures");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("file/figures"), std::string::npos) << error.what();
  }
  EXPECT_EQ(draw({}, folder / "file/figures").note, "");
}

TEST(Figure, ItsRulesAreChecked) {
  const TemporaryFolder folder;
  const auto expect_internal = [&](std::vector<Figure> figures) {
    try {
      (void)draw(figures, folder.path());
      ADD_FAILURE() << figures[0].stem;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal);
    }
  };
  for (const char* stem : {"", "a b", "../a", ".a", "a'b"}) expect_internal({line_figure(stem)});
  expect_internal({line_figure("a"), line_figure("a")});
  Figure figure = line_figure("length");
  figure.series[0].y.pop_back();
  expect_internal({figure});
  Figure ends = line_figure("ends");
  ends.series[0].low = {1};
  expect_internal({ends});
  Figure grid = all_kinds()[3];
  grid.grid->values.pop_back();
  expect_internal({grid});
  Figure images = all_kinds()[4];
  images.pictures->list[0].width = 4;
  expect_internal({images});
}

}  // namespace
}  // namespace trainer::report
