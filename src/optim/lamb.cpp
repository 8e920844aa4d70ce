#include "makers.h"
#include "moments.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

TRAINER_VECTORISED void lamb_direction(const float* __restrict w, float* __restrict g, float* __restrict m,
                                       float* __restrict v, std::int64_t count, AdamFactors factors,
                                       float weight_decay) {
  for (std::int64_t i = 0; i < count; ++i) {
    move_moments(g[i], m[i], v[i], factors);
    const float change =
        factors.rate * (m[i] / (std::sqrt(v[i]) * factors.second_correction + factors.epsilon));
    g[i] = change + weight_decay * w[i];
  }
}

TRAINER_VECTORISED void lamb_update(float* __restrict w, const float* __restrict d, std::int64_t count,
                                    float rate) {
  for (std::int64_t i = 0; i < count; ++i) w[i] -= rate * d[i];
}

/// Layer-wise adaptive moments (You et al. 2020, algorithm 2, phi the identity).
class Lamb final : public Optimizer {
 public:
  Lamb(const std::string& text, const AdamSettings& settings, double weight_decay)
      : Optimizer({.text = text, .default_rate = 1e-3, .state_names = {"first_moment", "second_moment"}}),
        settings_(settings),
        weight_decay_(weight_decay) {}

  bool is_layerwise() const override { return true; }

  void direction(const float* parameters, float* gradient, std::span<float* const> state, std::int64_t count,
                 std::int64_t step, bool decayed) const override {
    require_call(state, step);
    lamb_direction(parameters, gradient, state[0], state[1], count, AdamFactors(settings_, 1, step),
                   decayed ? static_cast<float>(weight_decay_) : 0.0F);
  }

  double trust_ratio(double parameter_norm, double, double direction_norm, bool decayed) const override {
    if (!decayed || parameter_norm == 0 || direction_norm == 0) return 1;
    return parameter_norm / direction_norm;
  }

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    lamb_update(parameters, gradient, count, static_cast<float>(rate));
  }

 private:
  AdamSettings settings_;
  double weight_decay_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const AdamSettings settings = AdamSettings::read(arguments, 1e-6);
  const double weight_decay = arguments.number("weight_decay", 0, kLargestWeightDecay, 0.01);
  arguments.finish();
  return std::make_unique<Lamb>(text.source(), settings, weight_decay);
}

}  // namespace trainer::optim
