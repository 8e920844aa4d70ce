#include "trainer/optim/max_norm.h"

#include "trainer/core/vectorise.h"
#include "trainer/optim/penalty.h"

namespace trainer::optim {

double max_norm_factor(double norm, double limit) { return clip_factor(norm, limit); }

TRAINER_VECTORISED void add_column_squares(const float* __restrict values, std::int64_t inputs,
                                           std::int64_t width, double* __restrict sums) {
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      const double value = values[i * width + j];
      sums[j] += value * value;
    }
  }
}

TRAINER_VECTORISED void multiply_columns(float* __restrict values, std::int64_t inputs, std::int64_t width,
                                         const float* __restrict factors) {
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j < width; ++j) values[i * width + j] *= factors[j];
  }
}

}  // namespace trainer::optim
