#include <cmath>

#include "makers.h"
#include "moments.h"
#include "square_root_rule.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

TRAINER_VECTORISED void rmsprop_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                       std::int64_t count, float rate, float share, float epsilon) {
  for (std::int64_t i = 0; i < count; ++i) {
    v[i] = moved_moment(v[i], share, g[i] * g[i]);
    w[i] -= rate * (g[i] / (std::sqrt(v[i]) + epsilon));
  }
}

/// RMSProp (Tieleman and Hinton 2012), without momentum and without centring.
class Rmsprop final : public Optimizer {
 public:
  Rmsprop(const std::string& text, double beta, double epsilon)
      : Optimizer({.text = text, .default_rate = 1e-2, .state_names = {"second_moment"}}),
        beta_(beta),
        epsilon_(epsilon) {}

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    rmsprop_update(parameters, gradient, state[0], count, static_cast<float>(rate),
                   static_cast<float>(1 - beta_), static_cast<float>(epsilon_));
  }

  std::string square_root_text(double ratio) const override {
    return trainer::text("rmsprop(beta=", SquareRootRule(*this, ratio).beta("beta", beta_),
                         ", epsilon=", format_number(epsilon_ / std::sqrt(ratio)), ")");
  }

 private:
  double beta_;
  double epsilon_;
};

}  // namespace

std::unique_ptr<Optimizer> make_rmsprop(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const double beta = arguments.number("beta", 0, kLargestBeta, 0.99);
  const double epsilon = arguments.number("epsilon", kSmallestEpsilon, kLargestEpsilon, 1e-8);
  arguments.finish();
  return std::make_unique<Rmsprop>(text.source(), beta, epsilon);
}

}  // namespace trainer::optim
