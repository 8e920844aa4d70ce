#include "makers.h"
#include "moments.h"
#include "square_root_rule.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {

AdamSettings AdamSettings::read(ArgumentReader& arguments, double epsilon) {
  AdamSettings settings;
  settings.beta1 = arguments.number("beta1", 0, kLargestBeta, settings.beta1);
  settings.beta2 = arguments.number("beta2", 0, kLargestBeta, settings.beta2);
  settings.epsilon = arguments.number("epsilon", kSmallestEpsilon, kLargestEpsilon, epsilon);
  return settings;
}

AdamFactors::AdamFactors(const AdamSettings& settings, double rate_of_step, std::int64_t step,
                         bool inside_root)
    : first_share(static_cast<float>(1 - settings.beta1)),
      second_share(static_cast<float>(1 - settings.beta2)),
      epsilon(static_cast<float>(settings.epsilon)) {
  const double first = 1 / (1 - std::pow(settings.beta1, static_cast<double>(step)));
  const double second = 1 / (1 - std::pow(settings.beta2, static_cast<double>(step)));
  rate = static_cast<float>(rate_of_step * first);
  second_correction = static_cast<float>(inside_root ? second : std::sqrt(second));
}

namespace {

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

TRAINER_VECTORISED void adamw_update(float* __restrict w, const float* __restrict g, float* __restrict m,
                                     float* __restrict v, std::int64_t count, AdamFactors factors,
                                     float decay) {
  for (std::int64_t i = 0; i < count; ++i) {
    move_moments(g[i], m[i], v[i], factors);
    const float change =
        factors.rate * (m[i] / (std::sqrt(v[i]) * factors.second_correction + factors.epsilon));
    w[i] -= decay * w[i] + change;
  }
}

/// Adam with bias correction (Kingma and Ba 2015, algorithm 1); epsilon is added to the root of the corrected
/// second moment, or under the root.
class Adam final : public Optimizer {
 public:
  Adam(const std::string& text, const AdamSettings& settings, bool inside_root)
      : Optimizer({.text = text, .default_rate = 1e-3, .state_names = {"first_moment", "second_moment"}}),
        settings_(settings),
        inside_root_(inside_root) {}

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    const auto run = inside_root_ ? adam_update_inside_root : adam_update;
    run(parameters, gradient, state[0], state[1], count, AdamFactors(settings_, rate, step, inside_root_));
  }

  std::string square_root_text(double ratio) const override {
    const SquareRootRule rule(*this, ratio);
    // Under the root epsilon stands beside the second moment, which falls as 1 / ratio.
    const double epsilon = settings_.epsilon / (inside_root_ ? ratio : std::sqrt(ratio));
    return trainer::text("adam(beta1=", rule.beta("beta1", settings_.beta1),
                         ", beta2=", rule.beta("beta2", settings_.beta2),
                         ", epsilon=", format_number(epsilon), inside_root_ ? ", inside_root=true)" : ")");
  }

 private:
  AdamSettings settings_;
  bool inside_root_;
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).
class AdamW final : public Optimizer {
 public:
  AdamW(const std::string& text, const AdamSettings& settings, double weight_decay)
      : Optimizer({.text = text, .default_rate = 1e-3, .state_names = {"first_moment", "second_moment"}}),
        settings_(settings),
        weight_decay_(weight_decay) {}

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool decayed) const override {
    require_call(state, step);
    const AdamFactors factors(settings_, rate, step);
    if (!decayed) return adam_update(parameters, gradient, state[0], state[1], count, factors);
    adamw_update(parameters, gradient, state[0], state[1], count, factors,
                 static_cast<float>(rate * weight_decay_));
  }

  std::string square_root_text(double ratio) const override {
    const SquareRootRule rule(*this, ratio);
    // The change of a step is in proportion to ratio, as that of the rule's other terms: so is rate * decay.
    return trainer::text("adamw(beta1=", rule.beta("beta1", settings_.beta1),
                         ", beta2=", rule.beta("beta2", settings_.beta2),
                         ", epsilon=", format_number(settings_.epsilon / std::sqrt(ratio)),
                         ", weight_decay=", format_number(weight_decay_ * std::sqrt(ratio)), ")");
  }

 private:
  AdamSettings settings_;
  double weight_decay_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const AdamSettings settings = AdamSettings::read(arguments, 1e-8);
  const bool inside_root = arguments.boolean("inside_root", false);
  arguments.finish();
  return std::make_unique<Adam>(text.source(), settings, inside_root);
}

std::unique_ptr<Optimizer> make_adamw(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const AdamSettings settings = AdamSettings::read(arguments, 1e-8);
  const double weight_decay = arguments.number("weight_decay", 0, kLargestWeightDecay, 0.01);
  arguments.finish();
  return std::make_unique<AdamW>(text.source(), settings, weight_decay);
}

}  // namespace trainer::optim
