#pragma once

#include <cstdint>

#include "trainer/nn/pass.h"

namespace trainer::train {

/// The gradient noise scale B = tr(Sigma) / |G|^2 in rows (McCandlish, Kaplan, Amodei et al. 2018, appendix
/// A): Sigma is the covariance of a row's gradient, G the true gradient. About the batch size beyond which
/// larger batches save few steps. Both parts are estimated without bias from the shards' gradients of one
/// batch, and averaged over steps exponentially before they are divided. With batch norm over the
/// whole batch a shard's gradient is its part of the batch's gradient: such parts cancel each other more than
/// independent ones would, the estimate of |G|^2 falls below 0 and the scale is NaN.
class NoiseScale {
 public:
  /// Steps from one that is observed to the next: observing costs some percent of a step.
  static constexpr std::int64_t kEvery = 32;

  /// Averages, as they stand in a checkpoint. Both begin at 0, so their ratio needs no correction.
  struct State {
    double trace = 0;   ///< of tr(Sigma)
    double square = 0;  ///< of |G|^2
  };

  /// One step of `rows` rows; `gradient_square`: |g|^2 of the mean gradient of the batch, without penalties.
  /// A step with fewer than two shards that have rows tells nothing.
  static void take_in(State& state, const nn::Observation& seen, double gradient_square, std::int64_t rows);
  /// NaN as long as nothing is known, or the average of |G|^2 is not above 0.
  static double value(const State& state);
};

}  // namespace trainer::train
