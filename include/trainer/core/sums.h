#pragma once

#include <cstdint>

namespace trainer {

// Sums over a run of floats, in double and in an order that is written in the code (16 fixed lanes, then a
// fixed tree over the lanes): they depend on the values and the count alone. Who cuts a run fixes the pieces
// and folds their sums in a fixed order.

/// sum of x^2; not finite if and only if a value is not finite (a square of a float cannot overflow a
/// double).
double sum_of_squares(const float* values, std::int64_t count);

/// sum of |x|; not finite if and only if a value is not finite.
double sum_of_magnitudes(const float* values, std::int64_t count);

}  // namespace trainer
