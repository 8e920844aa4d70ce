#include "shown.h"

#include <cmath>
#include <cstdio>

namespace trainer::study {

std::string three_digits(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "-" : value > 0 ? "inf" : "-inf";
  char buffer[40];
  const bool whole = std::abs(value) >= 1000 && std::abs(value) < 1e15;
  std::snprintf(buffer, sizeof(buffer), whole ? "%.0f" : "%.3g", value);
  return buffer;
}

std::string with_interval(const Interval& interval) {
  constexpr double kSaysNothing = 100;  // of two seeds that differ, say
  if (std::isnan(interval.low)) return three_digits(interval.value);
  if (interval.low > 0 && interval.high > kSaysNothing * interval.low)
    return three_digits(interval.value) + " (?)";
  return three_digits(interval.value) + " (" + three_digits(interval.low) + " to " +
         three_digits(interval.high) + ")";
}

}  // namespace trainer::study
