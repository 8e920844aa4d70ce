#pragma once

#include <cstdint>

namespace trainer {

/// Merges the moments of two groups of rows, column by column: left <- left (+) right, where a group has a
/// number of rows (at least one) and for each column a mean and m2, the sum of squared distances from it
/// ([columns] each). Chan, Golub, LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
/// Variances, 1979. The one place where moments are merged, rounded so:
///     delta = right mean - left mean
///     mean <- left mean + delta (right rows / rows)
///     m2   <- left m2 + (right m2 + delta^2 (left rows right rows / rows))
void merge_moments(std::int64_t columns, double left_rows, double* left_mean, double* left_m2,
                   double right_rows, const double* right_mean, const double* right_m2);

}  // namespace trainer
