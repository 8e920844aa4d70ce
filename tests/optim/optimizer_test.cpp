#include "trainer/optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "same_bits.h"
#include "tracked.h"
#include "usage_error.h"

namespace trainer::optim {
namespace {

/// Parameters and state of one optimizer, as one rank would keep them.
class Descent {
 public:
  Descent(const std::string& source, std::vector<float> parameters)
      : optimizer_(Optimizer::parse(source)),
        parameters_(std::move(parameters)),
        state_(optimizer_->state_names().size(), std::vector<float>(parameters_.size())) {}

  void step(const std::vector<float>& gradient, double rate) {
    ++step_;
    update(gradient, 0, parameters_.size(), rate);
  }
  /// The same step in pieces of 1, 2, 3, ... elements.
  void step_in_pieces(const std::vector<float>& gradient, double rate) {
    ++step_;
    std::size_t length = 1;
    for (std::size_t begin = 0; begin < parameters_.size(); begin += length++) {
      update(gradient, begin, std::min(length, parameters_.size() - begin), rate);
    }
  }

  const std::vector<float>& parameters() const { return parameters_; }
  const std::vector<std::vector<float>>& state() const { return state_; }

 private:
  void update(const std::vector<float>& gradient, std::size_t begin, std::size_t length, double rate) {
    std::vector<float*> state;
    for (std::vector<float>& values : state_) state.push_back(values.data() + begin);
    optimizer_->update(parameters_.data() + begin, gradient.data() + begin, state,
                       static_cast<std::int64_t>(length), rate, step_);
  }

  std::unique_ptr<Optimizer> optimizer_;
  std::vector<float> parameters_;
  std::vector<std::vector<float>> state_;
  std::int64_t step_ = 0;
};

/// Values of many magnitudes and both signs, one in eight of them zero.
class Values {
 public:
  explicit Values(unsigned seed) : generator_(seed) {}
  std::vector<float> draw(std::size_t count) {
    std::uniform_real_distribution<float> exponent(-6, 2);
    std::uniform_int_distribution<int> kind(0, 7);
    std::vector<float> result(count);
    for (float& value : result) {
      const int drawn = kind(generator_);
      const float magnitude = std::pow(10.0F, exponent(generator_));
      value = drawn == 0 ? 0 : (drawn % 2 == 0 ? magnitude : -magnitude);
    }
    return result;
  }

 private:
  std::mt19937 generator_;
};

// The references: the textbook formulas for one parameter.

class SgdReference {
 public:
  SgdReference(double momentum, bool nesterov) : momentum_(momentum), nesterov_(nesterov) {}
  Tracked change(Tracked g, double rate, int) {
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
  Tracked change(Tracked g, double rate, int step) {
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

template <class Reference>
void expect_follows(const std::string& source, const Reference& reference) {
  constexpr std::size_t kCount = 203;
  constexpr int kSteps = 12;
  Values values(7);
  Descent run(source, values.draw(kCount));
  std::vector<Reference> references(kCount, reference);
  std::vector<Tracked> expected;
  for (float value : run.parameters()) expected.push_back(Tracked::exactly(value));
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<float> gradient = values.draw(kCount);
    const double rate = 0.01 * step;
    run.step(gradient, rate);
    for (std::size_t i = 0; i < kCount; ++i) {
      expected[i] = expected[i] - references[i].change(Tracked::exactly(gradient[i]), rate, step);
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
  for (const char* source : {"sgd", "sgd(0.9)", "sgd(0.9, true)", "adam", "adam(inside_root=true)"}) {
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
       {"sgd(0.9)", "sgd(0.9, true)", "adam(0.9, 0.9)", "adam(0.9, 0.9, inside_root=true)"}) {
    Descent run(source, std::vector<float>(5, 1.0F));
    run.step(std::vector<float>(5, 1e-3F), 0.1);
    for (int step = 0; step < 1200; ++step) run.step(std::vector<float>(5, 0.0F), 0.1);
    for (const std::vector<float>& values : run.state()) {
      for (const float value : values) EXPECT_EQ(value, 0.0F) << source;
    }
  }
}

TEST(Optimizer, NotFiniteStaysVisible) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const char* source : {"sgd", "sgd(0.9)", "sgd(0.9, true)", "adam", "adam(inside_root=true)"}) {
    Descent run(source, std::vector<float>(3, 1.0F));
    run.step({std::nanf(""), infinity, 1.0F}, 0.1);
    EXPECT_FALSE(std::isfinite(run.parameters()[0])) << source;
    EXPECT_FALSE(std::isfinite(run.parameters()[1])) << source;
    EXPECT_TRUE(std::isfinite(run.parameters()[2])) << source;
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
}

TEST(Optimizer, RefusesMalformedTexts) {
  const auto message = [](const std::string& source) {
    return usage_error([&] { Optimizer::parse(source); });
  };
  EXPECT_EQ(message("adm"),
            "--optimizer: unknown optimizer; expected one of sgd, adam; did you mean adam?\n  adm\n  ^");
  EXPECT_EQ(message("adam sgd"),
            "--optimizer: expected one optimizer, found a second word\n  adam sgd\n       ^");
  EXPECT_EQ(message("adam(beta1=1)"),
            "--optimizer: beta1 of \"adam\" must be a number in [0, 0.999999999], found \"1\"\n"
            "  adam(beta1=1)\n             ^");
  EXPECT_EQ(message("sgd(nesterov=true)"),
            "--optimizer: nesterov needs a momentum above 0, such as 0.9\n  sgd(nesterov=true)\n  ^");
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
                             "adam,",
                             "Adam",
                             "1"}) {
    EXPECT_NE(message(source), "") << source;
  }
}

TEST(Optimizer, RefusesAWrongCall) {
  const auto adam = Optimizer::parse("adam");
  float values[4] = {};
  float* const state[] = {values + 2, values + 3};
  EXPECT_THROW(adam->update(values, values + 1, std::span(state).first(1), 1, 0.1, 1), Error);
  EXPECT_THROW(adam->update(values, values + 1, state, 1, 0.1, 0), Error);
  EXPECT_NO_THROW(adam->update(values, values + 1, state, 0, 0.1, 1));
}

}  // namespace
}  // namespace trainer::optim
