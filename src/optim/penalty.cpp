#include "trainer/optim/penalty.h"

#include <cmath>

#include "trainer/core/vectorise.h"

namespace trainer::optim {

double penalty_value(const float* parameters, std::int64_t count, double l1, double l2) {
  // A weight of zero must not make 0 * inf = NaN of a sum that nobody asked for.
  const double first = l1 == 0 ? 0 : l1 * sum_of_magnitudes(parameters, count);
  const double second = l2 == 0 ? 0 : 0.5 * l2 * sum_of_squares(parameters, count);
  return first + second;
}

namespace {

TRAINER_VECTORISED void add_l2_gradient(float* __restrict g, const float* __restrict w, std::int64_t count,
                                        float l2) {
  for (std::int64_t i = 0; i < count; ++i) g[i] += l2 * w[i];
}

TRAINER_VECTORISED void add_both_gradients(float* __restrict g, const float* __restrict w, std::int64_t count,
                                           float l1, float l2) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float from_l1 = w[i] > 0 ? l1 : (w[i] < 0 ? -l1 : 0.0F);
    g[i] += l2 * w[i] + from_l1;
  }
}

}  // namespace

void add_penalty_gradient(float* gradient, const float* parameters, std::int64_t count, double l1,
                          double l2) {
  const auto l1_f = static_cast<float>(l1);
  const auto l2_f = static_cast<float>(l2);
  if (l1_f != 0) return add_both_gradients(gradient, parameters, count, l1_f, l2_f);
  if (l2_f != 0) add_l2_gradient(gradient, parameters, count, l2_f);
}

TRAINER_VECTORISED void divide(float* values, std::int64_t count, float divisor) {
  for (std::int64_t i = 0; i < count; ++i) values[i] /= divisor;
}

TRAINER_VECTORISED void multiply(float* values, std::int64_t count, float factor) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

double clip_factor(double norm, double limit) {
  const bool exceeds = limit > 0 && std::isfinite(norm) && norm > limit;
  return exceeds ? limit / norm : 1;
}

}  // namespace trainer::optim
