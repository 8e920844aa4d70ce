#include "trainer/core/moments.h"

namespace trainer {

void merge_moments(std::int64_t columns, double left_rows, double* left_mean, double* left_m2,
                   double right_rows, const double* right_mean, const double* right_m2) {
  const double rows = left_rows + right_rows;
  for (std::int64_t c = 0; c < columns; ++c) {
    const double delta = right_mean[c] - left_mean[c];
    left_mean[c] += delta * (right_rows / rows);
    left_m2[c] += right_m2[c] + delta * delta * (left_rows * right_rows / rows);
  }
}

}  // namespace trainer
