#include <cmath>

#include "augmentation_operation.h"
#include "trainer/core/vectorise.h"
#include "trainer/data/augmentation.h"

namespace trainer::data {
namespace {

/// The logarithm of a Gamma(alpha, 1) number: for a small alpha the number itself is 0 too often. Marsaglia
/// & Tsang, A Simple Method for Generating Gamma Variables, 2000.
double draw_log_gamma(double alpha, RandomStream& draws) {
  double log_boost = 0;
  if (alpha < 1) {
    log_boost = std::log(1 - draws.uniform()) / alpha;
    alpha += 1;
  }
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = draws.normal(), root = 1 + c * x;
    const double u = 1 - draws.uniform();  // in (0, 1]
    if (root <= 0) continue;
    const double v = root * root * root, log_v = std::log(v);
    if (std::log(u) < x * x / 2 + d * (1 - v + log_v)) return std::log(d) + log_v + log_boost;
  }
}

TRAINER_VECTORISED void mix_values(float share, const float* __restrict other, float* __restrict values,
                                   std::int64_t count) {
  const float rest = 1.0f - share;
  for (std::int64_t i = 0; i < count; ++i) values[i] = share * values[i] + rest * other[i];
}

}  // namespace

float draw_share(double alpha, RandomStream& draws) {
  const double mine = draw_log_gamma(alpha, draws), other = draw_log_gamma(alpha, draws);
  return static_cast<float>(1 / (1 + std::exp(other - mine)));
}

void Mix::apply(const float* partner_values, std::int64_t count, float* row) const {
  mix_values(share, partner_values, row, count);
}

}  // namespace trainer::data
