#include "makers.h"
#include "moments.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

TRAINER_VECTORISED void add_decay(float* __restrict g, const float* __restrict w, std::int64_t count,
                                  float weight_decay) {
  for (std::int64_t i = 0; i < count; ++i) g[i] += weight_decay * w[i];
}

// v <- momentum * v + rate * d, w <- w - v: the rate is inside, because it differs from step to step with the
// trust ratio.
TRAINER_VECTORISED void lars_update(float* __restrict w, const float* __restrict d, float* __restrict v,
                                    std::int64_t count, float rate, float momentum) {
  for (std::int64_t i = 0; i < count; ++i) {
    v[i] = flush_subnormal(momentum * v[i] + rate * d[i]);
    w[i] -= v[i];
  }
}

/// Layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, algorithm 1).
class Lars final : public Optimizer {
 public:
  struct Settings {
    double momentum;
    double trust;
    double weight_decay;
  };

  Lars(const std::string& text, const Settings& settings)
      : Optimizer({.text = text, .default_rate = 1e-1, .state_names = {"velocity"}}), settings_(settings) {}

  bool is_layerwise() const override { return true; }
  bool fits_linear_rule() const override { return true; }

  void direction(const float* parameters, float* gradient, std::span<float* const> state, std::int64_t count,
                 std::int64_t step, bool decayed) const override {
    require_call(state, step);
    const auto weight_decay = static_cast<float>(settings_.weight_decay);
    if (decayed && weight_decay != 0) add_decay(gradient, parameters, count, weight_decay);
  }

  double trust_ratio(double parameter_norm, double gradient_norm, double, bool decayed) const override {
    if (!decayed || parameter_norm == 0 || gradient_norm == 0) return 1;
    return settings_.trust * parameter_norm / (gradient_norm + settings_.weight_decay * parameter_norm);
  }

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    lars_update(parameters, gradient, state[0], count, static_cast<float>(rate),
                static_cast<float>(settings_.momentum));
  }

 private:
  Settings settings_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lars(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  Lars::Settings settings{};
  settings.momentum = arguments.number("momentum", 0, kLargestMomentum, 0.9);
  settings.trust = arguments.number("trust", 0, 1e3, 0.001, true);
  settings.weight_decay = arguments.number("weight_decay", 0, kLargestWeightDecay, 0);
  arguments.finish();
  return std::make_unique<Lars>(text.source(), settings);
}

}  // namespace trainer::optim
