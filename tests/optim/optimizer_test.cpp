#include "trainer/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "descent.h"
#include "same_bits.h"
#include "tracked.h"
#include "usage_error.h"

namespace trainer::optim {
namespace {

// The references: the textbook formulas for one parameter, change(g, w, rate, step) to be taken off w.

class SgdReference {
 public:
  SgdReference(double momentum, bool nesterov) : momentum_(momentum), nesterov_(nesterov) {}
  Tracked change(Tracked g, Tracked, double rate, int) {
    velocity_ = momentum_ * velocity_ + g;
    return Tracked(rate) * (nesterov_ ? g + momentum_ * velocity_ : velocity_);
  }

 private:
  Tracked momentum_;
  bool nesterov_;
  Tracked velocity_ = Tracked::exactly(0);
};

class AdamReference {
 public:
  AdamReference(double beta1, double beta2, double epsilon, bool inside_root)
      : beta1_(beta1), beta2_(beta2), epsilon_(epsilon), inside_root_(inside_root) {}
  Tracked change(Tracked g, Tracked, double rate, int step) {
    first_ = Tracked(beta1_) * first_ + Tracked(1 - beta1_) * g;
    second_ = Tracked(beta2_) * second_ + Tracked(1 - beta2_) * (g * g);
    const Tracked first = first_ / Tracked(1 - std::pow(beta1_, step));
    const Tracked second = second_ / Tracked(1 - std::pow(beta2_, step));
    const Tracked divisor = inside_root_ ? sqrt(second + epsilon_) : sqrt(second) + epsilon_;
    return Tracked(rate) * (first / divisor);
  }

 private:
  double beta1_;
  double beta2_;
  Tracked epsilon_;
  bool inside_root_;
  Tracked first_ = Tracked::exactly(0);
  Tracked second_ = Tracked::exactly(0);
};

class AdagradReference {
 public:
  explicit AdagradReference(double epsilon) : epsilon_(epsilon) {}
  Tracked change(Tracked g, Tracked, double rate, int) {
    sum_ = sum_ + g * g;
    return Tracked(rate) * (g / (sqrt(sum_) + epsilon_));
  }

 private:
  Tracked epsilon_;
  Tracked sum_ = Tracked::exactly(0);
};

class RmspropReference {
 public:
  RmspropReference(double beta, double epsilon) : beta_(beta), epsilon_(epsilon) {}
  Tracked change(Tracked g, Tracked, double rate, int) {
    mean_ = Tracked(beta_) * mean_ + Tracked(1 - beta_) * (g * g);
    return Tracked(rate) * (g / (sqrt(mean_) + epsilon_));
  }

 private:
  double beta_;
  Tracked epsilon_;
  Tracked mean_ = Tracked::exactly(0);
};

class AdamWReference {
 public:
  AdamWReference(double beta1, double beta2, double epsilon, double weight_decay)
      : adam_(beta1, beta2, epsilon, false), weight_decay_(weight_decay) {}
  Tracked change(Tracked g, Tracked w, double rate, int step) {
    return adam_.change(g, w, rate, step) + Tracked(rate * weight_decay_) * w;
  }

 private:
  AdamReference adam_;
  double weight_decay_;
};

/// Twelve steps, the gradients of the sixth huge.
template <class Reference>
void expect_follows(const std::string& source, const Reference& reference, bool decayed = true) {
  constexpr std::size_t kCount = 203;
  constexpr int kSteps = 12;
  Values values(7);
  Descent run(source, values.draw(kCount), decayed);
  std::vector<Reference> references(kCount, reference);
  std::vector<Tracked> expected;
  for (float value : run.parameters()) expected.push_back(Tracked::exactly(value));
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<float> gradient = step == 6 ? values.draw_huge(kCount) : values.draw(kCount);
    const double rate = 0.01 * step;
    run.step(gradient, rate);
    for (std::size_t i = 0; i < kCount; ++i) {
      expected[i] =
          expected[i] - references[i].change(Tracked::exactly(gradient[i]), expected[i], rate, step);
      const double difference = std::fabs(run.parameters()[i] - expected[i].value());
      if (!(difference <= expected[i].error())) {
        FAIL() << source << ", step " << step << ", parameter " << i << ": " << run.parameters()[i]
               << ", expected " << expected[i].value() << " within " << expected[i].error();
      }
    }
  }
}

TEST(Optimizer, SgdFollowsItsReference) {
  expect_follows("sgd", SgdReference(0, false));
  expect_follows("sgd(0.9)", SgdReference(0.9, false));
  expect_follows("sgd(momentum=0.5)", SgdReference(0.5, false));
  expect_follows("sgd(0.9, true)", SgdReference(0.9, true));
  expect_follows("sgd(nesterov=true, momentum=0.99)", SgdReference(0.99, true));
}

TEST(Optimizer, AdamFollowsItsReference) {
  expect_follows("adam", AdamReference(0.9, 0.999, 1e-8, false));
  expect_follows("adam(0.5, 0.9, 1e-3)", AdamReference(0.5, 0.9, 1e-3, false));
  expect_follows("adam(beta2=0.9999)", AdamReference(0.9, 0.9999, 1e-8, false));
  expect_follows("adam(0, 0.99)", AdamReference(0, 0.99, 1e-8, false));
  expect_follows("adam(inside_root=true)", AdamReference(0.9, 0.999, 1e-8, true));
  expect_follows("adam(0.8, 0.95, 0.01, true)", AdamReference(0.8, 0.95, 0.01, true));
}

TEST(Optimizer, AdagradFollowsItsReference) {
  expect_follows("adagrad", AdagradReference(1e-8));
  expect_follows("adagrad(0.1)", AdagradReference(0.1));
}

TEST(Optimizer, RmspropFollowsItsReference) {
  expect_follows("rmsprop", RmspropReference(0.99, 1e-8));
  expect_follows("rmsprop(0.5, 1e-3)", RmspropReference(0.5, 1e-3));
  expect_follows("rmsprop(beta=0.9999)", RmspropReference(0.9999, 1e-8));
}

TEST(Optimizer, AdamWFollowsItsReference) {
  expect_follows("adamw", AdamWReference(0.9, 0.999, 1e-8, 0.01));
  expect_follows("adamw(0.5, 0.9, 1e-3, 2)", AdamWReference(0.5, 0.9, 1e-3, 2));
  expect_follows("adamw(weight_decay=0)", AdamReference(0.9, 0.999, 1e-8, false));
  expect_follows("adamw(weight_decay=2)", AdamReference(0.9, 0.999, 1e-8, false), false);
}

TEST(Optimizer, DecoupledDecayIsAGeometricSeries) {
  Descent run("adamw(weight_decay=0.5)", {8.0F, -2.0F});
  for (const float expected : {6.0F, 4.5F, 3.375F}) {
    run.step({0, 0}, 0.5);
    EXPECT_EQ(run.parameters()[0], expected);
    EXPECT_EQ(run.parameters()[1], -expected / 4);
  }
}

TEST(Optimizer, AdamWithAConstantGradientMovesByTheRate) {
  constexpr double kRate = 0.001;
  constexpr double kRoundoff = 0x1p-24;
  const std::vector<float> gradient = {3.0F, -0.01F, 250.0F};
  Descent run("adam", {0, 0, 0});
  for (int step = 1; step <= 300; ++step) {
    const std::vector<float> before = run.parameters();
    run.step(gradient, kRate);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double moved = static_cast<double>(before[i]) - run.parameters()[i];
      const double expected = gradient[i] > 0 ? kRate : -kRate;
      // The moments gather at most four roundings a step; the parameter is rounded once, at its own size.
      const double tolerance = kRate * (4 * kRoundoff * step + 1e-8 / std::fabs(gradient[i])) +
                               kRoundoff * std::fabs(run.parameters()[i]) + 4 * kRoundoff * kRate;
      ASSERT_NEAR(moved, expected, tolerance) << "step " << step;
    }
  }
}

TEST(Optimizer, GradientDescentOnASquare) {
  Descent full("sgd", {1});
  Descent half("sgd", {1});
  for (const float expected : {-1.0F, 1.0F, -1.0F, 1.0F}) {
    full.step({2 * full.parameters()[0]}, 1);
    half.step({2 * half.parameters()[0]}, 0.5);
    EXPECT_EQ(full.parameters()[0], expected);
    EXPECT_EQ(half.parameters()[0], 0.0F);
  }
}

TEST(Optimizer, BitsDoNotDependOnTheCut) {
  for (const std::string& source : all_texts()) {
    constexpr std::size_t kCount = 1013;
    Values values(11);
    const std::vector<float> start = values.draw(kCount);
    Descent whole(source, start);
    Descent pieces(source, start);
    for (int step = 1; step <= 5; ++step) {
      const std::vector<float> gradient = values.draw(kCount);
      whole.step(gradient, 0.1);
      pieces.step_in_pieces(gradient, 0.1);
    }
    EXPECT_FALSE(same_bits(whole.parameters(), start)) << source;
    EXPECT_TRUE(same_bits(whole.parameters(), pieces.parameters())) << source;
    for (std::size_t k = 0; k < whole.state().size(); ++k) {
      EXPECT_TRUE(same_bits(whole.state()[k], pieces.state()[k])) << source << ", state " << k;
    }
  }
}

TEST(Optimizer, StateOfADeadUnitBecomesZero) {
  for (const char* source :
       {"sgd(0.9)", "sgd(0.9, true)", "rmsprop(0.9)", "adam(0.9, 0.9)", "adam(0.9, 0.9, inside_root=true)",
        "adamw(0.9, 0.9)", "lars", "lamb(0.9, 0.9)"}) {
    Descent run(source, std::vector<float>(5, 1.0F));
    run.step(std::vector<float>(5, 1e-3F), 0.1);
    for (int step = 0; step < 1200; ++step) run.step(std::vector<float>(5, 0.0F), 0.1);
    for (const std::vector<float>& values : run.state()) {
      for (const float value : values) EXPECT_EQ(value, 0.0F) << source;
    }
  }
}

TEST(Optimizer, SquaresBelowTheSmallestNormalFloatAreZero) {
  Descent run("adagrad", {1});
  run.step({1e-20F}, 0.1);
  EXPECT_EQ(run.state()[0][0], 0.0F);
  run.step({1e-15F}, 0.1);
  EXPECT_GT(run.state()[0][0], 0.0F);
}

TEST(Optimizer, NotFiniteStaysVisible) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::string& source : all_texts()) {
    Descent run(source, std::vector<float>(3, 1.0F));
    run.step({std::nanf(""), infinity, 1.0F}, 0.1);
    EXPECT_FALSE(std::isfinite(run.parameters()[0])) << source;
    EXPECT_FALSE(std::isfinite(run.parameters()[1])) << source;
    if (!run.optimizer().is_layerwise()) {
      EXPECT_TRUE(std::isfinite(run.parameters()[2])) << source;
    }
  }
}

TEST(Optimizer, DescribesItself) {
  const auto sgd = Optimizer::parse("sgd");
  EXPECT_EQ(sgd->text(), "sgd");
  EXPECT_EQ(sgd->default_rate(), 0.1);
  EXPECT_TRUE(sgd->state_names().empty());
  EXPECT_EQ(Optimizer::parse("sgd(0.9)")->state_names(), std::vector<std::string>{"velocity"});
  const auto adam = Optimizer::parse(" adam( beta1=0.8 )");
  EXPECT_EQ(adam->text(), " adam( beta1=0.8 )");
  EXPECT_EQ(adam->default_rate(), 0.001);
  EXPECT_EQ(adam->state_names(), (std::vector<std::string>{"first_moment", "second_moment"}));
  const std::vector<std::string> moments = {"first_moment", "second_moment"};
  const auto expect = [](const std::string& source, double rate, const std::vector<std::string>& names) {
    EXPECT_EQ(Optimizer::parse(source)->default_rate(), rate) << source;
    EXPECT_EQ(Optimizer::parse(source)->state_names(), names) << source;
  };
  expect("adagrad", 0.01, {"square_sum"});
  expect("rmsprop", 0.01, {"second_moment"});
  expect("adamw", 0.001, moments);
  expect("lars", 0.1, {"velocity"});
  expect("lamb", 0.001, moments);
  for (const std::string& source : elementwise_texts())
    EXPECT_FALSE(Optimizer::parse(source)->is_layerwise());
  for (const std::string& source : layerwise_texts()) EXPECT_TRUE(Optimizer::parse(source)->is_layerwise());
}

TEST(Optimizer, RefusesMalformedTexts) {
  const auto message = [](const std::string& source) {
    return usage_error([&] { Optimizer::parse(source); });
  };
  EXPECT_EQ(message("adm"),
            "--optimizer: unknown optimizer; expected one of sgd, adagrad, rmsprop, adam, adamw, lars, "
            "lamb; did you mean adam?\n  adm\n  ^");
  EXPECT_EQ(message("adam sgd"),
            "--optimizer: expected one optimizer, found a second word\n  adam sgd\n       ^");
  EXPECT_EQ(message("adam(beta1=1)"),
            "--optimizer: beta1 of \"adam\" must be a number in [0, 0.999999999], found \"1\"\n"
            "  adam(beta1=1)\n             ^");
  EXPECT_EQ(message("sgd(nesterov=true)"),
            "--optimizer: nesterov needs a momentum above 0, such as 0.9\n  sgd(nesterov=true)\n  ^");
  EXPECT_EQ(message("rmsprop(0.9, epsilon=0)"),
            "--optimizer: epsilon of \"rmsprop\" must be a number in [1e-18, 1e+06], found \"0\"\n"
            "  rmsprop(0.9, epsilon=0)\n                       ^");
  EXPECT_EQ(message("adamw(decay=0.1)"),
            "--optimizer: \"adamw\" has no argument \"decay\"; it takes beta1, beta2, epsilon, weight_decay\n"
            "  adamw(decay=0.1)\n        ^");
  EXPECT_EQ(message("lars(trust=0)"),
            "--optimizer: trust of \"lars\" must be a number in (0, 1000], found \"0\"\n"
            "  lars(trust=0)\n             ^");
  for (const char* source : {"",
                             "  ",
                             "(",
                             "sgd(",
                             "sgd)",
                             "sgd(-0.1)",
                             "sgd(1)",
                             "sgd(nan)",
                             "sgd(inf)",
                             "sgd(0.9, 2)",
                             "sgd(0.9, true, 1)",
                             "sgd(momentum=0.9, momentum=0.9)",
                             "adam(0.9, 0.999, 0)",
                             "adam(0.9, 0.999, 1e-30)",
                             "adam(epsilon=-1)",
                             "adam(gamma=1)",
                             "adam(0.9x)",
                             "adam(beta1=)",
                             "adam(beta1=a(b))",
                             "adagrad(0)",
                             "adagrad(1e-8, 1)",
                             "rmsprop(1)",
                             "adamw(weight_decay=-0.1)",
                             "adamw(0.9, 0.999, 1e-8, 0.01, 1)",
                             "adamw(inside_root=true)",
                             "lars(1)",
                             "lars(trust=-1)",
                             "lars(weight_decay=nan)",
                             "lamb(beta2=1)",
                             "lamb(trust=1)",
                             "adam,",
                             "Adam",
                             "1"}) {
    EXPECT_NE(message(source), "") << source;
  }
}

TEST(Optimizer, RefusesAWrongCall) {
  float values[4] = {};
  float* const arrays[] = {values + 2, values + 3};
  const std::span<float* const> state(arrays);
  for (const std::string& source : all_texts()) {
    const auto optimizer = Optimizer::parse(source);
    const std::size_t needed = optimizer->state_names().size();
    const auto update = [&](std::size_t arrays_given, std::int64_t step) {
      optimizer->update(values, values + 1, state.first(arrays_given), 0, 0.1, step, true);
    };
    EXPECT_THROW(update(needed == 0 ? 1 : needed - 1, 1), Error) << source;
    EXPECT_THROW(update(needed, 0), Error) << source;
    EXPECT_NO_THROW(update(needed, 1)) << source;
    const auto direction = [&](std::size_t arrays_given, std::int64_t step) {
      optimizer->direction(values, values + 1, state.first(arrays_given), 0, step, true);
    };
    EXPECT_THROW(direction(needed == 0 ? 1 : needed - 1, 1), Error) << source;
    EXPECT_THROW(direction(needed, 0), Error) << source;
    if (optimizer->is_layerwise()) {
      EXPECT_NO_THROW(direction(needed, 1)) << source;
    } else {
      EXPECT_THROW(direction(needed, 1), Error) << source;
    }
  }
}

}  // namespace
}  // namespace trainer::optim
