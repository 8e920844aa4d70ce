#pragma once

#include <cmath>
#include <cstdint>

#include "trainer/data/scaling.h"

namespace trainer::data {

/// scaled[j] = (raw[j] - mean[j]) / deviation[j] for one row: the one place where inputs are scaled. The
/// cases differ in speed only: x - 0 and x / 1 are x.
template <class Raw>
inline void scale_row(const Raw* __restrict raw, const Scaling& scaling, float* __restrict scaled) {
  const float* const __restrict mean = scaling.float_mean().data();
  const float* const __restrict deviation = scaling.float_deviation().data();
  const std::int64_t features = scaling.features();
  switch (scaling.mode()) {
    case Scaling::Mode::none:
      for (std::int64_t j = 0; j < features; ++j) scaled[j] = static_cast<float>(raw[j]);
      return;
    case Scaling::Mode::unit:
      for (std::int64_t j = 0; j < features; ++j) scaled[j] = static_cast<float>(raw[j]) / 255.0f;
      return;
    case Scaling::Mode::global: {
      const float shift = mean[0];
      const float divisor = deviation[0];
      for (std::int64_t j = 0; j < features; ++j) scaled[j] = (static_cast<float>(raw[j]) - shift) / divisor;
      break;
    }
    case Scaling::Mode::feature:
      for (std::int64_t j = 0; j < features; ++j)
        scaled[j] = (static_cast<float>(raw[j]) - mean[j]) / deviation[j];
      break;
    case Scaling::Mode::log:
      for (std::int64_t j = 0; j < features; ++j)
        scaled[j] = (static_cast<float>(std::log(static_cast<double>(raw[j]))) - mean[j]) / deviation[j];
      return;
  }
  if (!scaling.fills_missing()) return;
  for (std::int64_t j = 0; j < features; ++j) scaled[j] = scaled[j] == scaled[j] ? scaled[j] : 0.0f;
}

}  // namespace trainer::data
