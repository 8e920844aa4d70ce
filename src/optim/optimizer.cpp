#include "trainer/optim/optimizer.h"

#include "makers.h"
#include "named_choice.h"

namespace trainer::optim {
namespace {

using Maker = std::unique_ptr<Optimizer> (*)(const ParsedText&, const Term&);

constexpr std::array<Named<Maker>, 7> kOptimizers = {{{"sgd", make_sgd},
                                                      {"adagrad", make_adagrad},
                                                      {"rmsprop", make_rmsprop},
                                                      {"adam", make_adam},
                                                      {"adamw", make_adamw},
                                                      {"lars", make_lars},
                                                      {"lamb", make_lamb}}};

}  // namespace

std::unique_ptr<Optimizer> Optimizer::parse(const std::string& source) {
  const ParsedText text("--optimizer", source);
  return choose_named(kOptimizers, text, "optimizer")(text, text.sequence().front());
}

void Optimizer::direction(const float*, float*, std::span<float* const>, std::int64_t, std::int64_t,
                          bool) const {
  fail(ErrorKind::internal, "optimizer ", text(), " is not layer-wise and has no direction");
}

double Optimizer::trust_ratio(double, double, double, bool) const { return 1; }

std::string Optimizer::square_root_text(double) const {
  fail(ErrorKind::usage,
       "--lr-scaling sqrt: the square-root rule (Malladi et al. 2022) is derived for adam, "
       "adamw and rmsprop and does not apply to --optimizer ",
       text(), fits_linear_rule() ? "; choose --lr-scaling linear, or set --lr" : "; set --lr instead");
}

void Optimizer::require_call(std::span<float* const> state, std::int64_t step) const {
  const std::size_t expected = state_names().size();
  require(state.size() == expected, ErrorKind::internal, "optimizer ", text(), ": an update was given ",
          state.size(), " state arrays; it needs ", expected);
  require(step >= 1, ErrorKind::internal, "optimizer ", text(), ": an update was given step ", step,
          "; steps count from 1");
}

}  // namespace trainer::optim
