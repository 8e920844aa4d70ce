#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "flush.h"
#include "trainer/core/grammar.h"

namespace trainer::optim {

// 1 - beta must not vanish in double; epsilon must dominate the root of a flushed second moment (1e-19).
inline constexpr double kLargestBeta = 1 - 1e-9;
inline constexpr double kSmallestEpsilon = 1e-18;
inline constexpr double kLargestEpsilon = 1e6;
inline constexpr double kLargestWeightDecay = 1e3;
// Above this the velocity of a constant gradient, 1 / (1 - momentum) of it, is wrong in float.
inline constexpr double kLargestMomentum = 0.9999;

/// What the optimizers with Adam's two moments have in common.
struct AdamSettings {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;

  /// Reads the three, in this order; `epsilon` is the default of the last.
  static AdamSettings read(ArgumentReader& arguments, double epsilon);
};

/// What one step has in common for all elements, in the precision of the elements.
struct AdamFactors {
  float first_share;        ///< 1 - beta1
  float second_share;       ///< 1 - beta2
  float rate;               ///< rate / (1 - beta1^step)
  float second_correction;  ///< 1 / sqrt(1 - beta2^step); inside_root: 1 / (1 - beta2^step)
  float epsilon;

  AdamFactors(const AdamSettings& settings, double rate, std::int64_t step, bool inside_root = false);
};

// beta * m is written as m - (1 - beta) * m: 1 - beta is right to a float's precision however near beta is to
// 1, and a constant gradient is a fixed point. (0.999 as a float would put the second moment of one off by
// 1e-5.)
inline float moved_moment(float moment, float share, float value) {
  return flush_subnormal((moment - share * moment) + share * value);
}

inline void move_moments(float g, float& m, float& v, const AdamFactors& factors) {
  m = moved_moment(m, factors.first_share, g);
  v = moved_moment(v, factors.second_share, g * g);
}

}  // namespace trainer::optim
