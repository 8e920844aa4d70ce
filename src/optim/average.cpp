#include "trainer/optim/average.h"

#include <cmath>

#include "trainer/core/vectorise.h"

namespace trainer::optim {

double average_share(double decay, std::int64_t step) {
  return (1 - decay) / (1 - std::pow(decay, static_cast<double>(step)));
}

TRAINER_VECTORISED void approach(float* average, const float* values, std::int64_t count, float share) {
  for (std::int64_t i = 0; i < count; ++i) average[i] += share * (values[i] - average[i]);
}

}  // namespace trainer::optim
