#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "usage_error.h"

namespace trainer::optim {
namespace {

constexpr std::int64_t kEpoch = 10;

Schedule schedule(const std::string& text, double peak, std::int64_t horizon,
                  const std::string& warmup = "0") {
  return Schedule(text, warmup, peak, horizon, kEpoch);
}

/// A few units in the last place of the peak rate.
double tolerance(double peak) { return 8 * 0x1p-53 * peak; }

TEST(Schedule, ConstantIsThePeakRate) {
  const Schedule constant = schedule("constant", 0.1, 5);
  for (const std::int64_t step : {1, 5, 6, 1000}) EXPECT_EQ(constant.rate(step), 0.1);
  EXPECT_EQ(schedule("constant", 0.1, 0).rate(1), 0.1);
}

TEST(Schedule, CosineAtItsCorners) {
  const Schedule cosine = schedule("cosine", 2, 8);
  EXPECT_EQ(cosine.rate(1), 2);
  EXPECT_NEAR(cosine.rate(5), 1, tolerance(2));
  EXPECT_NEAR(cosine.rate(8), 1 + std::cos(std::numbers::pi * 7 / 8), tolerance(2));
  EXPECT_GT(cosine.rate(8), 0);
  EXPECT_EQ(cosine.rate(9), 0);
  EXPECT_EQ(cosine.rate(1'000'000), 0);

  const Schedule part = schedule("cosine(0.1)", 2, 8);
  EXPECT_EQ(part.rate(1), 2);
  EXPECT_NEAR(part.rate(5), 1.1, tolerance(2));
  EXPECT_EQ(part.rate(9), 0.2);
  EXPECT_EQ(schedule("cosine", 2, 1).rate(1), 2);
  EXPECT_EQ(schedule("cosine", 2, 1).rate(2), 0);
  EXPECT_EQ(schedule("cosine(1)", 2, 8).rate(3), 2);
}

TEST(Schedule, LinearAtItsCorners) {
  const Schedule linear = schedule("linear", 2, 8);
  EXPECT_EQ(linear.rate(1), 2);
  EXPECT_EQ(linear.rate(2), 1.75);
  EXPECT_EQ(linear.rate(5), 1);
  EXPECT_EQ(linear.rate(8), 0.25);
  EXPECT_EQ(linear.rate(9), 0);
  EXPECT_EQ(linear.rate(1'000'000), 0);
  const Schedule part = schedule("linear(0.5, horizon=4 steps)", 2, 100);
  EXPECT_EQ(part.rate(1), 2);
  EXPECT_EQ(part.rate(4), 1.25);
  EXPECT_EQ(part.rate(5), 1);
  EXPECT_EQ(schedule("linear", 2, 0).rate(1), 0);
  EXPECT_EQ(schedule("linear", 2, 1).rate(1), 2);
}

TEST(Schedule, StepFallsInStairs) {
  for (const char* text :
       {"step(2 epochs, 0.5)", "step(every=20 steps, factor=0.5)", "step(factor=0.5, 2 epochs)"}) {
    const Schedule step = schedule(text, 8, 30);
    EXPECT_EQ(step.rate(1), 8) << text;
    EXPECT_EQ(step.rate(20), 8);
    EXPECT_EQ(step.rate(21), 4);
    EXPECT_EQ(step.rate(40), 4);
    EXPECT_EQ(step.rate(41), 2) << "the decay goes on after the steps planned";
    EXPECT_EQ(step.rate(1'000'000), 0);
  }
  EXPECT_EQ(schedule("step(1 step)", 1, 30).rate(2), 0.1);
  EXPECT_EQ(schedule("step(1 step, 1)", 3, 30).rate(1'000'000'000'000), 3);
  const Schedule ended = schedule("step(1 epoch, 0.5, horizon=25 steps)", 8, 30);
  for (const std::int64_t late : {21, 25, 26, 31, 1000}) EXPECT_EQ(ended.rate(late), 2) << late;
  EXPECT_EQ(schedule("step(1 epoch, 0.5, horizon=30 steps)", 8, 30).rate(31), 2) << "that of step 30";
}

TEST(Schedule, ExponentialIsSmoothAndMeetsTheStairs) {
  const Schedule smooth = schedule("exponential(0.25)", 2, 30);
  const Schedule stairs = schedule("step(1 epoch, 0.25)", 2, 30);
  EXPECT_EQ(smooth.rate(1), 2);
  EXPECT_DOUBLE_EQ(smooth.rate(6), 1);
  for (const std::int64_t epoch : {0, 1, 2, 3, 7})
    EXPECT_DOUBLE_EQ(smooth.rate(epoch * kEpoch + 1), stairs.rate(epoch * kEpoch + 1));
  for (std::int64_t step = 1; step < 40; ++step) EXPECT_GT(smooth.rate(step), smooth.rate(step + 1));
  EXPECT_DOUBLE_EQ(schedule("exponential", 1, 30).rate(11), 0.95);
  EXPECT_DOUBLE_EQ(schedule("exponential(0.25, 2 steps)", 2, 30).rate(2), 1);
  EXPECT_DOUBLE_EQ(schedule("exponential(every=1 step, factor=0.5)", 2, 30).rate(4), 0.25);
  const Schedule ended = schedule("exponential(0.25, horizon=6 steps)", 2, 30);
  for (const std::int64_t late : {6, 7, 1000}) EXPECT_DOUBLE_EQ(ended.rate(late), 1);
}

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

/// The number of reductions after each value of a series.
std::vector<std::int64_t> reductions(const std::string& text, const std::vector<double>& series,
                                     bool larger_is_better = false) {
  const Schedule plateau = schedule(text, 1, 100);
  Schedule::State state;
  std::vector<std::int64_t> result;
  for (const double value : series) {
    plateau.observe(state, value, larger_is_better);
    result.push_back(state.reductions);
  }
  return result;
}

using Counts = std::vector<std::int64_t>;

TEST(Schedule, PlateauWaitsForItsPatience) {
  EXPECT_EQ(reductions("plateau(2)", {9, 8, 8, 8, 7, 7.5, 7.5, 7.5, 7.5}),
            (Counts{0, 0, 0, 1, 1, 1, 2, 2, 3}));
  EXPECT_EQ(reductions("plateau(1)", {1, 2, 0, 0, 0}), (Counts{0, 1, 1, 2, 3}));
  EXPECT_EQ(reductions("plateau(2)", {1, 2, 2, 1, 0, 3, 3}, true), (Counts{0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(reductions("plateau", {1, 1, 1, 1, 1, 1, 1}), (Counts{0, 0, 0, 0, 0, 1, 1}));
  // A slow descent betters the best in the end, though no single value does by more than min_delta.
  EXPECT_EQ(reductions("plateau(3, min_delta=1)", {9, 8.5, 8, 7.5, 7, 6.75, 6.25}),
            (Counts{0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(reductions("plateau(2, min_delta=1)", {9, 8.5, 8, 7.5}), (Counts{0, 0, 1, 1}));
  EXPECT_EQ(reductions("plateau(1, min_delta=1)", {5, 6, 7.5}, true), (Counts{0, 1, 1}));
}

TEST(Schedule, PlateauNeverTakesNanForAnImprovement) {
  EXPECT_EQ(reductions("plateau(1)", {kNotANumber, kNotANumber, 5, kNotANumber, 4, 4}),
            (Counts{0, 0, 0, 1, 1, 2}));
  EXPECT_EQ(reductions("plateau(1)", {kNotANumber, 5, kNotANumber, 6, 7}, true), (Counts{0, 0, 1, 1, 1}));
  EXPECT_EQ(reductions("plateau(1)", {HUGE_VAL, HUGE_VAL, 3}), (Counts{0, 1, 1}));
}

TEST(Schedule, PlateauMultipliesTheRate) {
  const Schedule plateau = schedule("plateau(1, factor=0.5, min=0.2)", 8, 3, "4 steps");
  EXPECT_TRUE(plateau.is_adaptive());
  Schedule::State state;
  EXPECT_EQ(plateau.rate(1), 2);
  EXPECT_EQ(plateau.rate(100), 8);
  plateau.observe(state, 1, false);
  EXPECT_EQ(plateau.rate(100, state), 8);
  for (const double expected : {4.0, 2.0, 1.6, 1.6}) {
    plateau.observe(state, 1, false);
    EXPECT_DOUBLE_EQ(plateau.rate(100, state), expected);
    EXPECT_DOUBLE_EQ(plateau.rate(2, state), expected / 2);
  }
  state = {.best = 0.5, .seen = true, .without = 0, .reductions = 1};  // as read from a checkpoint
  EXPECT_EQ(plateau.rate(100, state), 4);
  plateau.observe(state, 0.6, false);
  EXPECT_EQ(state.reductions, 2);
  EXPECT_EQ(state.best, 0.5);
}

TEST(Schedule, TheOthersDoNotLookAtEvaluations) {
  for (const char* text : {"constant", "step(1 epoch)", "exponential", "linear", "cosine", "one_cycle"}) {
    const Schedule other = schedule(text, 1, 100);
    EXPECT_FALSE(other.is_adaptive()) << text;
    Schedule::State state;
    for (int i = 0; i < 20; ++i) other.observe(state, 1, false);
    EXPECT_FALSE(state.seen) << text;
    EXPECT_EQ(state.without, 0) << text;
    EXPECT_EQ(other.rate(50, {.best = 1, .seen = true, .without = 3, .reductions = 9}), other.rate(50));
  }
}

/// PyTorch's OneCycleLR (anneal_strategy="cos", two phases), from its source: the rate at its step number
/// from 0.
double torch_one_cycle(std::int64_t number, double max_lr, double total_steps, double pct_start,
                       double div_factor, double final_div_factor) {
  const double initial_lr = max_lr / div_factor;
  const double min_lr = initial_lr / final_div_factor;
  const auto annealing_cos = [](double start, double end, double pct) {
    const double cos_out = std::cos(std::numbers::pi * pct) + 1;
    return end + (start - end) / 2.0 * cos_out;
  };
  const double first_end = pct_start * total_steps - 1;
  const auto place = static_cast<double>(number);
  if (place <= first_end) return annealing_cos(initial_lr, max_lr, place / first_end);
  return annealing_cos(max_lr, min_lr, (place - first_end) / (total_steps - 1 - first_end));
}

TEST(Schedule, OneCycleAgreesWithPyTorch) {
  for (const std::int64_t horizon : {4, 7, 10, 33, 1290}) {
    const Schedule plain = schedule("one_cycle", 4e-3, horizon);
    const Schedule own = schedule("one_cycle(start=0.1, final=0.01, peak=0.45)", 0.5, horizon);
    for (std::int64_t step = 1; step <= horizon; ++step) {
      const auto total = static_cast<double>(horizon);
      EXPECT_NEAR(plain.rate(step), torch_one_cycle(step - 1, 4e-3, total, 0.3, 25, 400), tolerance(4e-3))
          << step;
      EXPECT_NEAR(own.rate(step), torch_one_cycle(step - 1, 0.5, total, 0.45, 10, 10), tolerance(0.5))
          << step;
    }
  }
}

TEST(Schedule, OneCycleAtItsCorners) {
  const Schedule cycle = schedule("one_cycle", 1, 10);
  EXPECT_NEAR(cycle.rate(1), 0.04, tolerance(1));
  EXPECT_NEAR(cycle.rate(2), 0.52, tolerance(1));
  EXPECT_EQ(cycle.rate(3), 1);
  EXPECT_NEAR(cycle.rate(10), 1e-4, tolerance(1));
  EXPECT_EQ(cycle.rate(11), 1e-4);
  EXPECT_EQ(cycle.rate(1'000'000'000'000), 1e-4);
}

TEST(Schedule, OneCycleOverAlmostNoSteps) {
  EXPECT_EQ(schedule("one_cycle", 1, 1).rate(1), 1);
  EXPECT_EQ(schedule("one_cycle", 1, 1).rate(2), 1e-4);
  EXPECT_EQ(schedule("one_cycle", 1, 0).rate(1), 1e-4);
  EXPECT_EQ(schedule("one_cycle", 1, 2).rate(1), 1);
  EXPECT_NEAR(schedule("one_cycle", 1, 2).rate(2), 1e-4, tolerance(1));
  EXPECT_EQ(schedule("one_cycle(peak=0)", 1, 9).rate(1), 1);
  EXPECT_EQ(schedule("one_cycle(peak=1)", 1, 9).rate(9), 1);
  EXPECT_NEAR(schedule("one_cycle(peak=1)", 1, 9).rate(5), 0.52, tolerance(1));
}

TEST(Schedule, EveryRateIsFiniteAndWithinThePeak) {
  for (const char* text :
       {"constant", "cosine", "cosine(0.5)", "one_cycle", "one_cycle(0, 0, 0)", "one_cycle(1, 1, 1)",
        "one_cycle(peak=0.999)", "step(3 steps)", "step(1 epoch, 1)", "exponential",
        "exponential(1e-300, 1 step)", "linear", "linear(1)", "linear(0.3)", "plateau"}) {
    for (std::int64_t horizon = 0; horizon < 20; ++horizon) {
      const Schedule tried = schedule(text, 3, horizon, "2 steps");
      for (std::int64_t step = 1; step < 25; ++step) {
        const double rate = tried.rate(step);
        EXPECT_TRUE(rate >= 0 && rate <= 3)
            << text << ", horizon " << horizon << ", step " << step << ": " << rate;
      }
    }
  }
}

TEST(Schedule, WarmupIsLinearAndEndsAtTheCurve) {
  const Schedule constant = schedule("constant", 0.8, 100, "4 steps");
  EXPECT_EQ(constant.warmup_steps(), 4);
  EXPECT_DOUBLE_EQ(constant.rate(1), 0.2);
  EXPECT_DOUBLE_EQ(constant.rate(2), 0.4);
  EXPECT_DOUBLE_EQ(constant.rate(3), 0.6);
  EXPECT_EQ(constant.rate(4), 0.8);
  EXPECT_EQ(constant.rate(5), 0.8);

  const Schedule bare = schedule("cosine", 0.8, 100);
  const Schedule warm = schedule("cosine", 0.8, 100, "0.5 epochs");
  EXPECT_EQ(warm.warmup_steps(), 5);
  for (std::int64_t step = 1; step <= 5; ++step) {
    EXPECT_DOUBLE_EQ(warm.rate(step), bare.rate(step) * static_cast<double>(step) / 5);
  }
  for (const std::int64_t step : {6, 50, 100, 101}) EXPECT_EQ(warm.rate(step), bare.rate(step));
  EXPECT_EQ(schedule("constant", 0.8, 100, "").rate(1), 0.8);
  EXPECT_DOUBLE_EQ(schedule("constant", 0.8, 2, "8 steps").rate(4), 0.4);
}

TEST(Schedule, HorizonCanBeGiven) {
  const Schedule given = schedule("cosine(0.1, horizon=2 epochs)", 1, 500);
  const Schedule plain = schedule("cosine(0.1)", 1, 20);
  EXPECT_EQ(given.horizon_steps(), 20);
  EXPECT_EQ(plain.horizon_steps(), 20);
  for (std::int64_t step = 1; step < 30; ++step) EXPECT_EQ(given.rate(step), plain.rate(step));
  EXPECT_EQ(schedule("one_cycle(horizon=30 steps, peak=0.5)", 1, 500).rate(15), 1);
  EXPECT_EQ(given.text(), "cosine(0.1, horizon=2 epochs)");
}

TEST(Schedule, RefusesMalformedTexts) {
  const auto message = [](const std::string& text, const std::string& warmup = "0") {
    return usage_error([&] { schedule(text, 1, 100, warmup); });
  };
  EXPECT_EQ(message("cosin"),
            "--schedule: unknown schedule; expected one of constant, step, exponential, linear, cosine, "
            "one_cycle, plateau; did you mean cosine?\n"
            "  cosin\n  ^");
  EXPECT_EQ(
      message("cosine(2)"),
      "--schedule: final of \"cosine\" must be a number in [0, 1], found \"2\"\n  cosine(2)\n         ^");
  EXPECT_EQ(message("cosine constant"),
            "--schedule: expected one schedule, found a second word\n  cosine constant\n         ^");
  EXPECT_EQ(message("step"),
            "--schedule: \"step\" needs every: a length such as 30 epochs or 500 steps\n  step\n  ^");
  EXPECT_EQ(message("step(30)"),
            "--schedule: a length needs its unit: \"30 steps\" or \"30 epochs\"\n  step(30)\n       ^");
  EXPECT_EQ(message("step(every=0 steps)"),
            "--schedule: every must be at least 1 step\n  step(every=0 steps)\n             ^");
  EXPECT_EQ(message("step(1 epoch, 2)"),
            "--schedule: factor of \"step\" must be a number in (0, 1], found \"2\"\n"
            "  step(1 epoch, 2)\n                ^");
  EXPECT_EQ(message("plateau(factor=1)"),
            "--schedule: factor of \"plateau\" must be a number in (0, 1), found \"1\"\n"
            "  plateau(factor=1)\n                 ^");
  EXPECT_EQ(message("plateau(3, horizon=5 steps)"),
            "--schedule: plateau follows the evaluations and has no horizon\n"
            "  plateau(3, horizon=5 steps)\n  ^");
  EXPECT_EQ(message("constant", "1"),
            "--warmup: a length needs its unit: \"1 steps\" or \"1 epochs\"\n  1\n  ^");
  for (const char* text : {"",
                           "cosine(",
                           "cosine(-1)",
                           "cosine(nan)",
                           "cosine(0, 0)",
                           "constant(1)",
                           "one_cycle(0, 0, 0, 0)",
                           "one_cycle(top=1)",
                           "cosine(horizon=0)",
                           "cosine(horizon=0 steps)",
                           "cosine(horizon=5)",
                           "cosine(horizon=2 epochs, horizon=2 epochs)",
                           "cosine(0.1, 2 epochs)",
                           "step(1)",
                           "step(1 epoch, 0)",
                           "step(1 epoch, 0.5, 1)",
                           "step(0.5 steps)",
                           "step(every=1 epoch, 2 epochs)",
                           "exponential(0)",
                           "exponential(1.1)",
                           "exponential(0.9, 0)",
                           "linear(2)",
                           "linear(0, 0)",
                           "plateau(0)",
                           "plateau(1.5)",
                           "plateau(min=2)",
                           "plateau(min_delta=-1)",
                           "plateau(5, 0.1, 0, 0, 0)",
                           "constant,constant"}) {
    EXPECT_NE(message(text), "") << text;
  }
}

TEST(Schedule, RefusesImpossibleNumbers) {
  for (const double peak : {-1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_NE(usage_error([&] { schedule("constant", peak, 10); }), "");
  }
  EXPECT_THROW(schedule("constant", 1, -1), Error);
  EXPECT_THROW(Schedule("constant", "0", 1, 10, 0), Error);
  EXPECT_THROW(schedule("constant", 1, 10).rate(0), Error);
}

}  // namespace
}  // namespace trainer::optim
