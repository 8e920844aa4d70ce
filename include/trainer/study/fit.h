#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace trainer::study {

/// An estimate with its 95 % confidence interval. An end may be infinite; nan: unknown.
struct Interval {
  double value = 0, low = 0, high = 0;
};

/// The mean, with Student's t interval; of one value, an interval of unknown ends.
Interval mean_interval(std::span<const double> values);

/// The geometric mean, with the interval of the mean logarithm: for what is positive and spreads in
/// proportion, as steps to a goal. Values above 0.
Interval log_mean_interval(std::span<const double> values);

/// Steps to a goal at one batch size, by one seed.
struct StepsAt {
  double batch = 0, steps = 0;
};

/// S(B) = S_min (1 + B_crit / B) (McCandlish, Kaplan, Amodei et al. 2018, equation 2.11 in the form steps
/// against batch size).
struct CriticalBatch {
  double least_steps = 0;  ///< S_min
  Interval critical;       ///< B_crit, in rows
  double scatter = 0;      ///< standard deviation of log(steps) around the fit
  /// Whether the points show a bend: else the batch sizes tried say nothing of B_crit but that it lies
  /// beyond.
  bool is_bounded() const;
  double steps(double batch) const { return least_steps * (1 + critical.value / batch); }
};

/// Least squares in log(steps), averaged over the seeds of each batch size (Gauss, Newton; Levenberg's
/// damping); the interval from the scatter of the batch sizes around the fit by linear propagation: it holds
/// what was left of tuning as well as the seeds. Nothing for fewer than three batch sizes.
std::optional<CriticalBatch> fit_critical_batch(std::span<const StepsAt> seeds);

/// How the best rate follows the batch size: the exponent p of rate = c B^p by least squares in logarithms.
/// 1: the linear rule, 1/2: the square-root rule. Nothing for fewer than three points.
struct RateRule {
  Interval exponent;
  double factor = 0;  ///< c
};
struct RateAt {
  double batch = 0, rate = 0;
};
std::optional<RateRule> fit_rate_rule(std::span<const RateAt> points);

}  // namespace trainer::study
