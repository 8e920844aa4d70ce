#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

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
  for (const char* text : {"constant", "cosine", "cosine(0.5)", "one_cycle", "one_cycle(0, 0, 0)",
                           "one_cycle(1, 1, 1)", "one_cycle(peak=0.999)"}) {
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
  EXPECT_EQ(
      message("cosin"),
      "--schedule: unknown schedule; expected one of constant, cosine, one_cycle; did you mean cosine?\n"
      "  cosin\n  ^");
  EXPECT_EQ(
      message("cosine(2)"),
      "--schedule: final of \"cosine\" must be a number in [0, 1], found \"2\"\n  cosine(2)\n         ^");
  EXPECT_EQ(message("cosine constant"),
            "--schedule: expected one schedule, found a second word\n  cosine constant\n         ^");
  EXPECT_EQ(message("constant", "1"),
            "--warmup: a length needs its unit: \"1 steps\" or \"1 epochs\"\n  1\n  ^");
  for (const char* text :
       {"", "cosine(", "cosine(-1)", "cosine(nan)", "cosine(0, 0)", "constant(1)", "one_cycle(0, 0, 0, 0)",
        "one_cycle(top=1)", "cosine(horizon=0)", "cosine(horizon=0 steps)", "cosine(horizon=5)",
        "cosine(horizon=2 epochs, horizon=2 epochs)", "cosine(0.1, 2 epochs)", "step(1)",
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
