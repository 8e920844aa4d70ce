#pragma once

#include <cstdint>

#include "trainer/core/sums.h"

namespace trainer::optim {

/// l1 * |w|_1 + (l2 / 2) * |w|^2, added to the objective. Over the dense weights, or over every parameter.
struct Penalty {
  double l1 = 0;
  double l2 = 0;
  bool all_parameters = false;

  bool any() const { return l1 != 0 || l2 != 0; }
};

// Runs of floats. The elementwise functions give the same bits wherever a run is cut; the sums are those of
// core/sums.h: the caller fixes the runs (blocks) and folds their sums in a fixed order.

/// gradient[i] += l2 * parameters[i] + l1 * sign(parameters[i]), sign(0) = 0. Nothing when both are 0.
void add_penalty_gradient(float* gradient, const float* parameters, std::int64_t count, double l1, double l2);

/// l1 * sum |w| + (l2 / 2) * sum w^2 of one run.
double penalty_value(const float* parameters, std::int64_t count, double l1, double l2);

/// values[i] /= divisor.
void divide(float* values, std::int64_t count, float divisor);

/// values[i] *= factor.
void multiply(float* values, std::int64_t count, float factor);

/// The factor that brings a gradient of `norm` to a norm of at most `limit`: limit / norm when norm > limit,
/// else 1 (Pascanu, Mikolov and Bengio 2013). `limit` = 0: no limit. A norm that is not finite gives 1: it is
/// not to be hidden.
double clip_factor(double norm, double limit);

}  // namespace trainer::optim
