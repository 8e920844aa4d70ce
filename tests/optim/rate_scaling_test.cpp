#include "trainer/optim/rate_scaling.h"

#include <gtest/gtest.h>

#include <cmath>

#include "usage_error.h"

namespace trainer::optim {
namespace {

ScaledRate scaled(const std::string& rule, const std::string& optimizer, std::int64_t batch,
                  std::int64_t reference_batch, double rate = 0.1) {
  return scaled_rate(parse_rate_scaling(rule), rate, batch, reference_batch, *Optimizer::parse(optimizer));
}

TEST(RateScaling, NoneChangesNothing) {
  const ScaledRate none = scaled("none", " adam( 0.9)", 4096, 0);
  EXPECT_EQ(none.rate, 0.1);
  EXPECT_EQ(none.optimizer, " adam( 0.9)");
  EXPECT_EQ(none.note, "");
}

TEST(RateScaling, LinearIsInProportionToTheBatch) {
  const ScaledRate linear = scaled("linear", "sgd(0.9, true)", 8192, 256);
  EXPECT_DOUBLE_EQ(linear.rate, 3.2);
  EXPECT_EQ(linear.optimizer, "sgd(0.9, true)");
  EXPECT_EQ(linear.note, "");
  EXPECT_DOUBLE_EQ(scaled("linear", "sgd", 64, 256).rate, 0.025);
  EXPECT_EQ(scaled("linear", "sgd", 100, 100).rate, 0.1);
  EXPECT_EQ(scaled("linear", "lars", 512, 256).note, "");
}

TEST(RateScaling, LinearForAdaptiveOptimizersComesWithANote) {
  for (const char* optimizer : {"adam", "adamw", "rmsprop", "adagrad", "lamb"}) {
    const ScaledRate linear = scaled("linear", optimizer, 512, 256);
    EXPECT_DOUBLE_EQ(linear.rate, 0.2);
    EXPECT_EQ(linear.optimizer, optimizer);
    EXPECT_NE(linear.note.find(optimizer), std::string::npos) << linear.note;
  }
}

TEST(RateScaling, SquareRootByHand) {
  const ScaledRate adam = scaled("sqrt", "adam", 1024, 256);
  EXPECT_DOUBLE_EQ(adam.rate, 0.2);
  EXPECT_EQ(adam.optimizer, "adam(beta1=0.6, beta2=0.996, epsilon=5e-09)");
  EXPECT_EQ(scaled("sqrt", "adam(0.9, 0.99, 1e-6, inside_root=true)", 1024, 256).optimizer,
            "adam(beta1=0.6, beta2=0.96, epsilon=2.5e-07, inside_root=true)");
  EXPECT_EQ(scaled("sqrt", "adamw(weight_decay=0.05)", 1024, 256).optimizer,
            "adamw(beta1=0.6, beta2=0.996, epsilon=5e-09, weight_decay=0.1)");
  EXPECT_EQ(scaled("sqrt", "rmsprop(0.99, 1e-4)", 16, 1).optimizer, "rmsprop(beta=0.84, epsilon=2.5e-05)");
  const ScaledRate smaller = scaled("sqrt", "adam", 64, 256);
  EXPECT_DOUBLE_EQ(smaller.rate, 0.05);
  EXPECT_EQ(smaller.optimizer, "adam(beta1=0.975, beta2=0.99975, epsilon=2e-08)");
}

TEST(RateScaling, SquareRootForTheReferenceBatchChangesNothing) {
  const ScaledRate same = scaled("sqrt", "adam(0, 0.99)", 300, 300);
  EXPECT_EQ(same.rate, 0.1);
  EXPECT_EQ(same.optimizer, "adam(0, 0.99)");
}

TEST(RateScaling, TheScaledTextIsAnOptimizer) {
  for (const char* text : {"adam", "adam(0.95, 0.9999, 1e-3, true)", "adamw", "rmsprop"}) {
    for (const std::int64_t batch : {1, 7, 255, 300, 1000}) {
      const ScaledRate result = scaled("sqrt", text, batch, 256);
      EXPECT_EQ(Optimizer::parse(result.optimizer)->text(), result.optimizer);
      EXPECT_EQ(Optimizer::parse(result.optimizer)->state_names(), Optimizer::parse(text)->state_names());
    }
  }
}

TEST(RateScaling, SquareRootIsRefusedWhereItIsInvalid) {
  const auto message = [](const std::string& optimizer, std::int64_t batch) {
    return usage_error([&] { scaled("sqrt", optimizer, batch, 256); });
  };
  EXPECT_EQ(message("adam", 4096),
            "--lr-scaling sqrt: the square-root rule needs ratio * (1 - beta1) below 1; a batch of 16 times "
            "--reference-batch with beta1 = 0.9 of --optimizer adam gives 1.6: choose a batch below 10 times "
            "--reference-batch, or a larger beta1, or set --lr without a rule");
  EXPECT_NE(message("adamw(0.99, 0.9)", 2561).find("beta2"), std::string::npos);
  EXPECT_NE(message("adam(0.99, 0.9)", 2561).find("beta2"), std::string::npos);
  EXPECT_NE(message("adam(0)", 512).find("beta1 = 0 "), std::string::npos);
  EXPECT_NE(message("rmsprop", 25600).find("beta = 0.99"), std::string::npos);
  EXPECT_NO_THROW(scaled("sqrt", "adam", 2559, 256));
  EXPECT_NO_THROW(scaled("sqrt", "rmsprop", 25599, 256));
  // The last batch within the rule and the first beyond it, with a beta that is exact in double.
  EXPECT_NO_THROW(scaled("sqrt", "rmsprop(0.75)", 1023, 256));
  EXPECT_NE(message("rmsprop(0.75)", 1024), "");
}

TEST(RateScaling, SquareRootIsRefusedForOtherOptimizers) {
  for (const char* optimizer : {"sgd", "sgd(0.9)", "lars", "lamb", "adagrad"}) {
    for (const std::int64_t batch : {256, 512}) {
      const std::string found = usage_error([&] { scaled("sqrt", optimizer, batch, 256); });
      EXPECT_NE(found.find(std::string("does not apply to --optimizer ") + optimizer), std::string::npos);
      const bool fits_linear = std::string(optimizer).starts_with("sgd") || std::string(optimizer) == "lars";
      EXPECT_EQ(found.find("choose --lr-scaling linear") != std::string::npos, fits_linear) << found;
    }
  }
}

TEST(RateScaling, RefusesBadOptions) {
  EXPECT_EQ(usage_error([] { parse_rate_scaling("squareroot"); }),
            "--lr-scaling: unknown rule; expected one of none, linear, sqrt\n  squareroot\n  ^");
  for (const char* text : {"", "linear(2)", "linear sqrt", "Sqrt"})
    EXPECT_NE(usage_error([&] { parse_rate_scaling(text); }), "") << text;
  for (const char* rule : {"linear", "sqrt"}) {
    for (const std::int64_t reference : {0, -5})
      EXPECT_NE(usage_error([&] { scaled(rule, "adam", 256, reference); }).find("--reference-batch"),
                std::string::npos);
  }
  EXPECT_THROW(scaled("linear", "sgd", 0, 256), Error);
}

}  // namespace
}  // namespace trainer::optim
