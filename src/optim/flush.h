#pragma once

#include <limits>

namespace trainer::optim {

/// `value`, or zero when it is nearer to zero than the smallest normal float. The state of a parameter whose
/// gradient has become zero (a dead unit) decays into subnormal numbers and stays there, and arithmetic with
/// those is up to a hundred times slower; nothing that small can move a parameter. NaN stays NaN.
inline float flush_subnormal(float value) {
  const float magnitude = __builtin_fabsf(value);
  return magnitude < std::numeric_limits<float>::min() ? 0.0F : value;
}

}  // namespace trainer::optim
