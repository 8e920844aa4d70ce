#include "makers.h"
#include "moments.h"
#include "trainer/core/vectorise.h"

namespace trainer::optim {
namespace {

// w <- w - rate * g
TRAINER_VECTORISED void plain_update(float* __restrict w, const float* __restrict g, std::int64_t count,
                                     float rate) {
  for (std::int64_t i = 0; i < count; ++i) w[i] -= rate * g[i];
}

// v <- momentum * v + g, w <- w - rate * v
TRAINER_VECTORISED void momentum_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                        std::int64_t count, float rate, float momentum) {
  for (std::int64_t i = 0; i < count; ++i) {
    v[i] = flush_subnormal(momentum * v[i] + g[i]);
    w[i] -= rate * v[i];
  }
}

// v <- momentum * v + g, w <- w - rate * (g + momentum * v)
TRAINER_VECTORISED void nesterov_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                        std::int64_t count, float rate, float momentum) {
  for (std::int64_t i = 0; i < count; ++i) {
    v[i] = flush_subnormal(momentum * v[i] + g[i]);
    w[i] -= rate * (g[i] + momentum * v[i]);
  }
}

/// Gradient descent with momentum (Polyak 1964; the accelerated form of Nesterov 1983 as in Sutskever et al.
/// 2013), the rate outside the velocity.
class Sgd final : public Optimizer {
 public:
  Sgd(const std::string& text, double momentum, bool nesterov)
      : Optimizer({.text = text,
                   .default_rate = 1e-1,
                   .state_names =
                       momentum == 0 ? std::vector<std::string>{} : std::vector<std::string>{"velocity"}}),
        momentum_(static_cast<float>(momentum)),
        nesterov_(nesterov) {}

  bool fits_linear_rule() const override { return true; }

  void update(float* parameters, const float* gradient, std::span<float* const> state, std::int64_t count,
              double rate, std::int64_t step, bool) const override {
    require_call(state, step);
    const auto rate_f = static_cast<float>(rate);
    if (state.empty()) return plain_update(parameters, gradient, count, rate_f);
    const auto run = nesterov_ ? nesterov_update : momentum_update;
    run(parameters, gradient, state[0], count, rate_f, momentum_);
  }

 private:
  float momentum_;
  bool nesterov_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const ParsedText& text, const Term& term) {
  ArgumentReader arguments(text, term);
  const double momentum = arguments.number("momentum", 0, kLargestMomentum, 0);
  const bool nesterov = arguments.boolean("nesterov", false);
  arguments.finish();
  if (nesterov && momentum == 0) text.fail_at(term.offset, "nesterov needs a momentum above 0, such as 0.9");
  return std::make_unique<Sgd>(text.source(), momentum, nesterov);
}

}  // namespace trainer::optim
