#pragma once

#include <cstdint>

namespace trainer::optim {

// The exponential average of the weights (Polyak and Juditsky 1992 with an exponential window): after step t,
// sum over i <= t of decay^(t - i) w_i, divided by the sum of these factors. The starting weights have no
// part in it.

/// The share of the newest weights after step `step` >= 1: (1 - decay) / (1 - decay^step). 1 at the first.
double average_share(double decay, std::int64_t step);

/// average[i] += share * (values[i] - average[i]).
void approach(float* average, const float* values, std::int64_t count, float share);

}  // namespace trainer::optim
