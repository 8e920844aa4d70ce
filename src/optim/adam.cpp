#include <cmath>

#include "flush.h"
#include "makers.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

/// What one step has in common for all elements, in the precision of the elements.
struct AdamFactors {
  float first_share;        ///< 1 - beta1
  float second_share;       ///< 1 - beta2
  float rate;               ///< rate / (1 - beta1^step)
  float second_correction;  ///< 1 / (1 - beta2^step); its square root when epsilon is outside the root
  float epsilon;
};

// beta * m is written as m - (1 - beta) * m: 1 - beta is right to a float's precision however near beta is to
// 1, and a constant gradient is a fixed point. (0.999 as a float would put the second moment of one off by
// 1e-5.)
inline void move_moments(float g, float& m, float& v, const AdamFactors& factors) {
  m = flush_subnormal((m - factors.first_share * m) + factors.first_share * g);
  v = flush_subnormal((v - factors.second_share * v) + factors.second_share * (g * g));
}

TRAINER_VECTORISED void adam_update(float* __restrict w, const float* __restrict g, float* __restrict m,
                                    float* __restrict v, std::int64_t count, AdamFactors factors) {
  for (std::int64_t i = 0; i < count; ++i) {
    move_moments(g[i], m[i], v[i], factors);
    w[i] -= factors.rate * (m[i] / (std::sqrt(v[i]) * factors.second_correction + factors.epsilon));
  }
}

TRAINER_VECTORISED void adam_update_inside_root(float* __restrict w, const float* __restrict g,
                                                float* __restrict m, float* __restrict v, std::int64_t count,
                                                AdamFactors factors) {
  for (std::int64_t i = 0; i < count; ++i) {
    move_moments(g[i], m[i], v[i], factors);
    w[i] -= factors.rate * (m[i] / std::sqrt(v[i] * factors.second_correction + factors.epsilon));
  }
}

/// Adam with bias correction (Kingma and Ba 2015, algorithm 1); epsilon is added to the root of the corrected
/// second moment, or under the root.
class Adam final : public Optimizer {
 public:
  struct Settings {
    double beta1;
    double beta2;
    double epsilon;
    bool inside_root;
  };

  Adam(const std::string& text, const Settings& settings)
      : Optimizer({.text = text, .default_rate = 1e-3, .state_names = {"first_moment", "second_moment"}}),
        settings_(settings) {}

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step) const override {
    require_call(state, step);
    const auto run = settings_.inside_root ? adam_update_inside_root : adam_update;
    run(parameters, gradient, state[0], state[1], count, factors(rate, step));
  }

 private:
  AdamFactors factors(double rate, std::int64_t step) const {
    const double first_correction = 1 / (1 - std::pow(settings_.beta1, static_cast<double>(step)));
    const double second_correction = 1 / (1 - std::pow(settings_.beta2, static_cast<double>(step)));
    return {.first_share = static_cast<float>(1 - settings_.beta1),
            .second_share = static_cast<float>(1 - settings_.beta2),
            .rate = static_cast<float>(rate * first_correction),
            .second_correction =
                static_cast<float>(settings_.inside_root ? second_correction : std::sqrt(second_correction)),
            .epsilon = static_cast<float>(settings_.epsilon)};
  }

  Settings settings_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const ParsedText& text, const Term& term) {
  // 1 - beta must not vanish in double; epsilon must dominate the root of a flushed second moment (1e-19).
  constexpr double kLargestBeta = 1 - 1e-9;
  constexpr double kSmallestEpsilon = 1e-18;
  ArgumentReader arguments(text, term);
  Adam::Settings settings{};
  settings.beta1 = arguments.number("beta1", 0, kLargestBeta, 0.9);
  settings.beta2 = arguments.number("beta2", 0, kLargestBeta, 0.999);
  settings.epsilon = arguments.number("epsilon", kSmallestEpsilon, 1e6, 1e-8);
  settings.inside_root = arguments.boolean("inside_root", false);
  arguments.finish();
  return std::make_unique<Adam>(text.source(), settings);
}

}  // namespace trainer::optim
