#include "trainer/core/sums.h"

#include <array>
#include <cmath>

#include "trainer/core/vectorise.h"

namespace trainer {
namespace {

// Element i goes to lane i mod 16: enough independent sums to keep the adders busy, at any vector width.
constexpr std::int64_t kLanes = 16;
using Lanes = std::array<double, kLanes>;

double fold(Lanes lanes) {
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

}  // namespace

TRAINER_VECTORISED double sum_of_squares(const float* values, std::int64_t count) {
  Lanes lanes{};
  const std::int64_t whole = count - count % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    for (std::int64_t j = 0; j < kLanes; ++j) {
      const double value = values[i + j];
      lanes[j] += value * value;
    }
  }
  for (std::int64_t i = whole; i < count; ++i) {
    const double value = values[i];
    lanes[i - whole] += value * value;
  }
  return fold(lanes);
}

TRAINER_VECTORISED double sum_of_magnitudes(const float* values, std::int64_t count) {
  Lanes lanes{};
  const std::int64_t whole = count - count % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    for (std::int64_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(std::fabs(values[i + j]));
  }
  for (std::int64_t i = whole; i < count; ++i) lanes[i - whole] += static_cast<double>(std::fabs(values[i]));
  return fold(lanes);
}

}  // namespace trainer
