#include <gtest/gtest.h>

#include "trainer/optim/schedule.h"
#include "usage_error.h"

namespace trainer::optim {
namespace {

std::int64_t steps_of(const std::string& text, std::int64_t steps_per_epoch) {
  return Length::parse("--warmup", text).steps(steps_per_epoch);
}

TEST(Length, ReadsStepsAndEpochs) {
  EXPECT_EQ(steps_of("500 steps", 100), 500);
  EXPECT_EQ(steps_of("1 step", 100), 1);
  EXPECT_EQ(steps_of("  2   epochs ", 100), 200);
  EXPECT_EQ(steps_of("1 epoch", 235), 235);
  EXPECT_EQ(steps_of("0.25 epochs", 100), 25);
  EXPECT_EQ(steps_of("1e3 steps", 7), 1000);
  EXPECT_EQ(Length::parse("--x", "0.5 epochs").value, 0.5);
  EXPECT_EQ(Length::parse("--x", "0.5 epochs").unit, Length::Unit::epochs);
}

TEST(Length, RoundsToTheNearestStepButNotToNone) {
  EXPECT_EQ(steps_of("0.25 epochs", 9), 2);
  EXPECT_EQ(steps_of("0.25 epochs", 10), 3);
  EXPECT_EQ(steps_of("0.25 epochs", 11), 3);
  EXPECT_EQ(steps_of("0.001 epochs", 10), 1);
  EXPECT_EQ(steps_of("0", 10), 0);
  EXPECT_EQ(steps_of("0 steps", 10), 0);
  EXPECT_EQ(steps_of("0.0 epochs", 10), 0);
}

TEST(Length, RefusesMalformedTexts) {
  const auto message = [](const std::string& text) { return usage_error([&] { steps_of(text, 10); }); };
  EXPECT_EQ(message("500"), "--warmup: a length needs its unit: \"500 steps\" or \"500 epochs\"\n  500\n  ^");
  EXPECT_EQ(message("5 rows"), "--warmup: unknown unit; expected steps or epochs\n  5 rows\n    ^");
  EXPECT_EQ(message("5 steps more"),
            "--warmup: expected the end of the length after its unit\n  5 steps more\n          ^");
  EXPECT_EQ(message("0.5 steps"), "--warmup: expected a whole number of steps\n  0.5 steps\n  ^");
  for (const char* text : {"", "steps", "-1 steps", "nan epochs", "inf epochs", "1e16 steps", "1e15 epochs",
                           "5steps", "5(1) steps", "5 steps()", "5, steps", "5=steps", "1 epoch 2 steps"}) {
    EXPECT_NE(message(text), "") << text;
  }
}

}  // namespace
}  // namespace trainer::optim
