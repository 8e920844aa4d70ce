#include "trainer/report/progress.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <limits>
#include <string>

#include "trainer/core/error.h"

namespace trainer::report {
namespace {

/// A stream in memory.
class Screen {
 public:
  Screen() : stream_(::open_memstream(&text_, &size_)) {}
  ~Screen() {
    std::fclose(stream_);
    std::free(text_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  std::FILE* stream() { return stream_; }
  std::string text() {
    std::fflush(stream_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

ProgressState half_way() {
  return {.epoch = 3,
          .epochs = 12,
          .step = 500,
          .steps = 1000,
          .first_step = 0,
          .loss = 0.34567,
          .metric_name = "accuracy",
          .metric = 0.875,
          .samples_per_second = 78123};
}

int count(const std::string& text, char c) {
  return static_cast<int>(std::count(text.begin(), text.end(), c));
}

TEST(Progress, ChoosesTheStyle) {
  const Terminal terminal{.is_terminal = true, .columns = 80};
  const Terminal none;
  EXPECT_EQ(choose_style("auto", false, terminal), ProgressStyle::bar);
  EXPECT_EQ(choose_style("auto", false, none), ProgressStyle::lines);
  EXPECT_EQ(choose_style("bar", false, none), ProgressStyle::bar);
  EXPECT_EQ(choose_style("lines", false, terminal), ProgressStyle::lines);
  EXPECT_EQ(choose_style("none", false, terminal), ProgressStyle::none);
  EXPECT_EQ(choose_style("bar", true, terminal), ProgressStyle::none);
  EXPECT_THROW(choose_style("bars", false, terminal), Error);
}

TEST(Progress, EstimatesTheTimeLeftFromThisProcessAlone) {
  ProgressState state = half_way();
  EXPECT_DOUBLE_EQ(*seconds_left(state, 10), 10);
  state.first_step = 400;  // resumed: 100 steps took the 10 seconds
  EXPECT_DOUBLE_EQ(*seconds_left(state, 10), 50);
  state.first_step = 500;
  EXPECT_FALSE(seconds_left(state, 10));
  state.first_step = 0;
  state.steps = 0;
  EXPECT_FALSE(seconds_left(state, 10));
}

TEST(Progress, TextsForPeople) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(6.2), "0:07");
  EXPECT_EQ(duration_text(754), "12:34");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(2 * 86400 + 3 * 3600), "2 d 3:00:00");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "0:00");
  EXPECT_NO_THROW(duration_text(std::numeric_limits<double>::infinity()));
  EXPECT_EQ(rate_text(950), "950");
  EXPECT_EQ(rate_text(12345), "12.3k");
  EXPECT_EQ(rate_text(999960), "1.00M");
  EXPECT_EQ(rate_text(1250000), "1.25M");
  EXPECT_EQ(rate_text(std::numeric_limits<double>::infinity()), "-");
}

TEST(Progress, LinesHoldNoControlCharacters) {
  Screen screen;
  {
    Progress progress(screen.stream(), ProgressStyle::lines, 30);
    progress.update(half_way(), 1);  // too early
    EXPECT_EQ(screen.text(), "");
    progress.update(half_way(), 30);
    progress.update(half_way(), 59);  // too early
    progress.note("epoch 3: val_loss 0.4");
    progress.update(half_way(), 60);
  }
  EXPECT_EQ(screen.text(),
            "epoch 3/12  step 500/1000  loss 0.3457  accuracy 0.8750  78.1k samples/s  0:30 left\n"
            "epoch 3: val_loss 0.4\n"
            "epoch 3/12  step 500/1000  loss 0.3457  accuracy 0.8750  78.1k samples/s  1:00 left\n");
  for (const char c : screen.text()) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 127));
}

TEST(Progress, TheBarIsRedrawnAtMostTenTimesASecond) {
  Screen screen;
  Progress progress(screen.stream(), ProgressStyle::bar, 30, false, 120);
  for (int i = 0; i < 1000; ++i) progress.update(half_way(), i * 0.001);
  EXPECT_EQ(count(screen.text(), '\r'), 10);
  EXPECT_EQ(count(screen.text(), '\n'), 0);
  EXPECT_NE(screen.text().find("epoch 3/12 [##########----------]  50 %  loss 0.3457  accuracy 0.8750"),
            std::string::npos);
}

TEST(Progress, TheBarFitsTheTerminal) {
  for (const int columns : {20, 40, 80}) {
    Screen screen;
    Progress progress(screen.stream(), ProgressStyle::bar, 30, false, columns);
    progress.update(half_way(), 1);
    const std::string text = screen.text();
    ASSERT_EQ(text.front(), '\r');
    EXPECT_LT(static_cast<int>(text.find('\x1b')) - 1, columns);
  }
}

TEST(Progress, ANoteTakesTheBarAwayFirst) {
  Screen screen;
  Progress progress(screen.stream(), ProgressStyle::bar, 30);
  progress.note("first");  // nothing to take away
  EXPECT_EQ(screen.text(), "first\n");
  progress.update(half_way(), 1);
  progress.note("second");
  EXPECT_TRUE(screen.text().ends_with("\r\x1b[Ksecond\n"));
  progress.finish();
  EXPECT_TRUE(screen.text().ends_with("second\n"));
}

TEST(Progress, NoneAndQuiet) {
  Screen screen;
  {
    Progress none(screen.stream(), ProgressStyle::none, 30);
    none.update(half_way(), 100);
    EXPECT_EQ(screen.text(), "");
    none.note("a line");
    EXPECT_EQ(screen.text(), "a line\n");
    Progress quiet(screen.stream(), ProgressStyle::none, 30, true);
    quiet.note("silenced");
  }
  EXPECT_EQ(screen.text(), "a line\n");
}

TEST(Progress, NanHasNoSign) {
  Screen screen;
  Progress progress(screen.stream(), ProgressStyle::lines, 0);
  ProgressState state = half_way();
  state.loss = -std::numeric_limits<double>::quiet_NaN();
  progress.update(state, 1);
  EXPECT_NE(screen.text().find("loss nan  "), std::string::npos);
}

}  // namespace
}  // namespace trainer::report
