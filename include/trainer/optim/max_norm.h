#pragma once

#include <cstdint>

namespace trainer::optim {

// Max-norm: after an update the row of weights into each unit is scaled to a norm of at most a limit
// (Srivastava et al. 2014, section 5.1). Weights lie in panels, [units / width][inputs][width], so the rows
// of one panel are its columns here, and a panel may come in pieces of whole groups of `width` floats.

/// The factor for a row of `norm`: limit / norm when norm > limit, else 1. `limit` = 0: no limit. A norm that
/// is not finite gives 1: it is not to be hidden.
double max_norm_factor(double norm, double limit);

/// sums[j] += sum over i of values[i * width + j]^2, i < inputs, j < width, in double, i upwards one by one:
/// the same bits wherever a panel is cut between two i, as long as its pieces are added in order.
void add_column_squares(const float* values, std::int64_t inputs, std::int64_t width, double* sums);

/// values[i * width + j] *= factors[j].
void multiply_columns(float* values, std::int64_t inputs, std::int64_t width, const float* factors);

}  // namespace trainer::optim
