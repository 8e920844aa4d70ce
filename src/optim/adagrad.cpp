#include <cmath>

#include "makers.h"
#include "moments.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

TRAINER_VECTORISED void adagrad_update(float* __restrict w, const float* __restrict g, float* __restrict s,
                                       std::int64_t count, float rate, float epsilon) {
  for (std::int64_t i = 0; i < count; ++i) {
    s[i] = flush_subnormal(s[i] + g[i] * g[i]);
    w[i] -= rate * (g[i] / (std::sqrt(s[i]) + epsilon));
  }
}

/// Adagrad (Duchi, Hazan and Singer 2011), its diagonal form.
class Adagrad final : public Optimizer {
 public:
  Adagrad(const std::string& text, double epsilon)
      : Optimizer({.text = text, .default_rate = 1e-2, .state_names = {"square_sum"}}),
        epsilon_(static_cast<float>(epsilon)) {}

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    adagrad_update(parameters, gradient, state[0], count, static_cast<float>(rate), epsilon_);
  }

 private:
  float epsilon_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adagrad(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const double epsilon = arguments.number("epsilon", kSmallestEpsilon, kLargestEpsilon, 1e-8);
  arguments.finish();
  return std::make_unique<Adagrad>(text.source(), epsilon);
}

}  // namespace trainer::optim
