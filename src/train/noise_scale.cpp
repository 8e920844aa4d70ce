#include "trainer/train/noise_scale.h"

#include <limits>

namespace trainer::train {
namespace {

constexpr double kDecay = 0.95;  // a memory of 20 observed steps

}  // namespace

// With b rows on S shards of b_s rows and g_s the sum of a shard's gradients:
// E sum |g_s|^2 / b_s = b |G|^2 + S tr(Sigma) and E b |g|^2 = b |G|^2 + tr(Sigma).
void NoiseScale::take_in(State& state, const nn::Observation& seen, double gradient_square,
                         std::int64_t rows) {
  if (seen.shards < 2) return;
  const auto b = static_cast<double>(rows);
  const double trace = (seen.squares_per_row - b * gradient_square) / static_cast<double>(seen.shards - 1);
  const double square = gradient_square - trace / b;
  state.trace += (1 - kDecay) * (trace - state.trace);
  state.square += (1 - kDecay) * (square - state.square);
}

double NoiseScale::value(const State& state) {
  return state.square > 0 ? state.trace / state.square : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace trainer::train
