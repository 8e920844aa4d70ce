#pragma once

#include <cstdint>
#include <string>

#include "trainer/optim/optimizer.h"

namespace trainer::optim {

/// How the learning rate follows the batch: --lr-scaling none|linear|sqrt.
enum class RateScaling { none, linear, square_root };

/// The rule that `source` (the value of --lr-scaling) names. Throws Error(usage) with a caret.
RateScaling parse_rate_scaling(const std::string& source);

/// What a run uses after the rule; scaling it once more would be wrong, so a stored configuration keeps what
/// was asked.
struct ScaledRate {
  double rate = 0;
  std::string optimizer;  ///< for Optimizer::parse(); as it was, but for the square-root rule
  std::string note;       ///< a warning for the person who chose this; mostly empty
};

/// The peak rate and the optimizer for `batch`, when `rate` and `optimizer` are meant for `reference_batch`.
/// With ratio k = batch / reference_batch:
///
/// linear (Goyal et al. 2017): rate k. Derived for sgd; allowed, with a note, for adaptive optimizers.
///
/// sqrt (Malladi et al. 2022), for adam, adamw and rmsprop: rate sqrt(k), 1 - beta' = k (1 - beta), epsilon'
/// = epsilon / sqrt(k) (epsilon / k under the root). The weight decay of adamw becomes weight_decay sqrt(k),
/// which by the same derivation keeps the decay per sample; the paper has none.
///
/// Throws Error(usage), with the reason, when reference_batch is below 1, and for the square-root rule where
/// k (1 - beta) >= 1 or the optimizer is another one.
ScaledRate scaled_rate(RateScaling rule, double rate, std::int64_t batch, std::int64_t reference_batch,
                       const Optimizer& optimizer);

}  // namespace trainer::optim
