#include <gtest/gtest.h>

#include <cmath>

#include "descent.h"
#include "tracked.h"

namespace trainer::optim {
namespace {

using Vector = std::vector<Tracked>;

Vector exactly(const std::vector<float>& values) {
  Vector result;
  for (const float value : values) result.push_back(Tracked::exactly(value));
  return result;
}

/// The norm, off by at most the norm of the errors (the program sums in double: no further roundings in
/// float).
Tracked norm(const Vector& values) {
  double squares = 0;
  double errors = 0;
  for (const Tracked& value : values) {
    squares += value.value() * value.value();
    errors += value.error() * value.error();
  }
  return Tracked::within(std::sqrt(squares), std::sqrt(errors) + 1e-12 * std::sqrt(squares));
}

// The references: the papers' algorithms for one tensor, in place.

class LarsReference {
 public:
  LarsReference(double momentum, double trust, double weight_decay)
      : momentum_(momentum), trust_(trust), weight_decay_(weight_decay) {}
  void step(Vector& w, const Vector& g, double rate, int, bool decayed) {
    velocity_.resize(w.size(), Tracked::exactly(0));
    const double decay = decayed ? weight_decay_ : 0;
    Tracked local = Tracked::exactly(1);
    if (decayed) local = Tracked(trust_) * norm(w) / (norm(g) + Tracked(weight_decay_) * norm(w));
    for (std::size_t i = 0; i < w.size(); ++i) {
      velocity_[i] =
          Tracked(momentum_) * velocity_[i] + Tracked(rate) * local * (g[i] + Tracked(decay) * w[i]);
      w[i] = w[i] - velocity_[i];
    }
  }

 private:
  double momentum_;
  double trust_;
  double weight_decay_;
  Vector velocity_;
};

class LambReference {
 public:
  LambReference(double beta1, double beta2, double epsilon, double weight_decay)
      : beta1_(beta1), beta2_(beta2), epsilon_(epsilon), weight_decay_(weight_decay) {}
  void step(Vector& w, const Vector& g, double rate, int step, bool decayed) {
    first_.resize(w.size(), Tracked::exactly(0));
    second_.resize(w.size(), Tracked::exactly(0));
    Vector d;
    for (std::size_t i = 0; i < w.size(); ++i) {
      first_[i] = Tracked(beta1_) * first_[i] + Tracked(1 - beta1_) * g[i];
      second_[i] = Tracked(beta2_) * second_[i] + Tracked(1 - beta2_) * (g[i] * g[i]);
      const Tracked first = first_[i] / Tracked(1 - std::pow(beta1_, step));
      const Tracked second = second_[i] / Tracked(1 - std::pow(beta2_, step));
      d.push_back(first / (sqrt(second) + Tracked(epsilon_)));
      if (decayed) d[i] = d[i] + Tracked(weight_decay_) * w[i];
    }
    const Tracked ratio = decayed ? norm(w) / norm(d) : Tracked::exactly(1);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = w[i] - Tracked(rate) * ratio * d[i];
  }

 private:
  double beta1_;
  double beta2_;
  double epsilon_;
  double weight_decay_;
  Vector first_;
  Vector second_;
};

/// Ten steps, the gradients of the sixth huge.
template <class Reference>
void expect_follows(const std::string& source, Reference reference, bool decayed = true) {
  constexpr std::size_t kCount = 157;
  Values values(19);
  Descent run(source, values.draw(kCount), decayed);
  Vector expected = exactly(run.parameters());
  for (int step = 1; step <= 10; ++step) {
    const std::vector<float> gradient = step == 6 ? values.draw_huge(kCount) : values.draw(kCount);
    const double rate = 0.01 * step;
    run.step(gradient, rate);
    reference.step(expected, exactly(gradient), rate, step, decayed);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double difference = std::fabs(run.parameters()[i] - expected[i].value());
      if (!(difference <= expected[i].error())) {
        FAIL() << source << ", step " << step << ", parameter " << i << ": " << run.parameters()[i]
               << ", expected " << expected[i].value() << " within " << expected[i].error();
      }
    }
    EXPECT_LT(norm(expected).error(), 1e-2 * norm(expected).value()) << source << ": the bound says nothing";
  }
}

TEST(Layerwise, LarsFollowsItsReference) {
  expect_follows("lars", LarsReference(0.9, 0.001, 0));
  expect_follows("lars(0.5, 0.02, 0.3)", LarsReference(0.5, 0.02, 0.3));
  expect_follows("lars(momentum=0, trust=1)", LarsReference(0, 1, 0));
  expect_follows("lars(0.5, 0.02, 0.3)", LarsReference(0.5, 0.02, 0.3), false);
}

TEST(Layerwise, LambFollowsItsReference) {
  expect_follows("lamb", LambReference(0.9, 0.999, 1e-6, 0.01));
  expect_follows("lamb(0.5, 0.9, 1e-3, 0.5)", LambReference(0.5, 0.9, 1e-3, 0.5));
  expect_follows("lamb(weight_decay=0)", LambReference(0.9, 0.999, 1e-6, 0));
  expect_follows("lamb(0.5, 0.9, 1e-3, 0.5)", LambReference(0.5, 0.9, 1e-3, 0.5), false);
}

TEST(Layerwise, TrustRatios) {
  const auto lars = Optimizer::parse("lars(trust=0.5, weight_decay=0.25)");
  EXPECT_EQ(lars->trust_ratio(4, 1, 100, true), 1);
  EXPECT_EQ(lars->trust_ratio(4, 3, 0, true), 0.5);
  EXPECT_EQ(lars->trust_ratio(4, 3, 0, false), 1);
  EXPECT_EQ(lars->trust_ratio(0, 3, 3, true), 1);
  EXPECT_EQ(lars->trust_ratio(4, 0, 1, true), 1);
  const auto lamb = Optimizer::parse("lamb");
  EXPECT_EQ(lamb->trust_ratio(4, 100, 8, true), 0.5);
  EXPECT_EQ(lamb->trust_ratio(4, 0, 8, true), 0.5);
  EXPECT_EQ(lamb->trust_ratio(4, 100, 8, false), 1);
  EXPECT_EQ(lamb->trust_ratio(0, 1, 8, true), 1);
  EXPECT_EQ(lamb->trust_ratio(4, 1, 0, true), 1);
  EXPECT_TRUE(std::isnan(lamb->trust_ratio(4, 1, std::nan(""), true)));
  EXPECT_TRUE(std::isnan(lars->trust_ratio(4, std::nan(""), 1, true)));
  EXPECT_EQ(Optimizer::parse("adam")->trust_ratio(4, 1, 2, true), 1);
}

TEST(Layerwise, TheLengthOfAStepDoesNotDependOnTheGradientsScale) {
  for (const char* source : {"lars(momentum=0, trust=1)", "lamb(epsilon=1e-18, weight_decay=0)"}) {
    Descent small(source, {3, 4});
    Descent large(source, {3, 4});
    small.step({0x1p-20F, 0x1p-21F}, 0.25);
    large.step({0x1p20F, 0x1p19F}, 0.25);
    EXPECT_EQ(small.parameters(), large.parameters()) << source;
    const double moved = std::hypot(3 - small.parameters()[0], 4 - small.parameters()[1]);
    EXPECT_NEAR(moved, 0.25 * 5, 4 * 0x1p-23 * 5) << source;
  }
}

}  // namespace
}  // namespace trainer::optim
