#include "trainer/study/fit.h"

#include <algorithm>
#include <array>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>

namespace trainer::study {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// The half width of a 95 % interval in standard errors.
double student_t(double freedom) {
  return boost::math::quantile(boost::math::complement(boost::math::students_t(freedom), 0.025));
}

/// The sums of the normal equations of two parameters.
struct Normal {
  double aa = 0, ac = 0, cc = 0, ra = 0, rc = 0, squares = 0;
};

/// log S = log(a + c / B) in the parameters log a and log c.
Normal normal_equations(std::span<const StepsAt> points, double log_a, double log_c) {
  Normal sums;
  for (const StepsAt& point : points) {
    const double a = std::exp(log_a), c = std::exp(log_c) / point.batch, all = a + c;
    const double residual = std::log(point.steps) - std::log(all);
    const double by_a = a / all, by_c = c / all;
    sums.aa += by_a * by_a;
    sums.ac += by_a * by_c;
    sums.cc += by_c * by_c;
    sums.ra += by_a * residual;
    sums.rc += by_c * residual;
    sums.squares += residual * residual;
  }
  return sums;
}

/// The geometric mean of the steps at each batch size: seeds share the settings that were found there, so
/// that they say less of the curve than as many batch sizes would.
std::vector<StepsAt> mean_of_each_batch(std::span<const StepsAt> points) {
  std::map<double, std::vector<double>> steps;
  for (const StepsAt& point : points) steps[point.batch].push_back(point.steps);
  std::vector<StepsAt> means;
  for (const auto& [batch, seeds] : steps) means.push_back({batch, log_mean_interval(seeds).value});
  return means;
}

}  // namespace

Interval mean_interval(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return {kUnknown, kUnknown, kUnknown};
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / n;
  if (values.size() == 1) return {mean, kUnknown, kUnknown};
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half = student_t(n - 1) * std::sqrt(squares / (n - 1) / n);
  return {mean, mean - half, mean + half};
}

Interval log_mean_interval(std::span<const double> values) {
  std::vector<double> logs;
  for (const double value : values) logs.push_back(std::log(value));
  const Interval mean = mean_interval(logs);
  return {std::exp(mean.value), std::exp(mean.low), std::exp(mean.high)};
}

bool CriticalBatch::is_bounded() const { return critical.low > 0 && std::isfinite(critical.high); }

std::optional<CriticalBatch> fit_critical_batch(std::span<const StepsAt> seeds) {
  const std::vector<StepsAt> points = mean_of_each_batch(seeds);
  if (points.size() < 3) return std::nullopt;
  const double smallest = points.front().batch, largest = points.back().batch;
  const auto ends = std::ranges::minmax(points, {}, &StepsAt::steps);
  double log_a = std::log(ends.min.steps / 2), log_c = std::log(ends.max.steps * smallest / 2);
  // With no bend in sight one parameter runs away to 0: it is held where it no longer matters.
  const double least_a = std::log(ends.min.steps * 1e-6),
               least_c = std::log(ends.max.steps * smallest * 1e-6);
  double damping = 1e-3;
  Normal now = normal_equations(points, log_a, log_c);
  constexpr int kMostRounds = 500;
  for (int round = 0; round < kMostRounds && damping < 1e12; ++round) {
    const double aa = now.aa * (1 + damping) + 1e-300, cc = now.cc * (1 + damping) + 1e-300;
    const double determinant = aa * cc - now.ac * now.ac;
    const double step_a = (cc * now.ra - now.ac * now.rc) / determinant;
    const double step_c = (aa * now.rc - now.ac * now.ra) / determinant;
    const double next_a = std::max(least_a, log_a + std::clamp(step_a, -2.0, 2.0));
    const double next_c = std::max(least_c, log_c + std::clamp(step_c, -2.0, 2.0));
    const Normal next = normal_equations(points, next_a, next_c);
    if (next.squares <= now.squares) {
      const bool settled = std::abs(next_a - log_a) + std::abs(next_c - log_c) < 1e-12;
      log_a = next_a;
      log_c = next_c;
      now = next;
      damping = std::max(1e-12, damping / 10);
      if (settled) break;
    } else {
      damping *= 10;
    }
  }
  CriticalBatch fit;
  fit.least_steps = std::exp(log_a);
  const double freedom = static_cast<double>(points.size()) - 2;
  fit.scatter = std::sqrt(now.squares / freedom);
  const double log_critical = log_c - log_a;
  const double determinant = now.aa * now.cc - now.ac * now.ac;
  // The variance of log c - log a: the sum of the inverse's entries with signs.
  const double variance = fit.scatter * fit.scatter * (now.cc + 2 * now.ac + now.aa) / determinant;
  const double half = student_t(freedom) * std::sqrt(variance);
  fit.critical = {std::exp(log_critical), std::exp(log_critical - half), std::exp(log_critical + half)};
  if (!(fit.critical.high < 1e4 * largest)) fit.critical.high = std::numeric_limits<double>::infinity();
  if (!(fit.critical.low > 1e-4 * smallest)) fit.critical.low = 0;
  return fit;
}

std::optional<RateRule> fit_rate_rule(std::span<const RateAt> points) {
  const auto n = static_cast<double>(points.size());
  if (points.size() < 3) return std::nullopt;
  double x_mean = 0, y_mean = 0, xx = 0, xy = 0, squares = 0;
  for (const RateAt& point : points) {
    x_mean += std::log(point.batch) / n;
    y_mean += std::log(point.rate) / n;
  }
  for (const RateAt& point : points) {
    const double x = std::log(point.batch) - x_mean;
    xx += x * x;
    xy += x * (std::log(point.rate) - y_mean);
  }
  if (!(xx > 0)) return std::nullopt;
  const double slope = xy / xx;
  for (const RateAt& point : points) {
    const double residual = std::log(point.rate) - y_mean - slope * (std::log(point.batch) - x_mean);
    squares += residual * residual;
  }
  const double half = student_t(n - 2) * std::sqrt(squares / (n - 2) / xx);
  return RateRule{{slope, slope - half, slope + half}, std::exp(y_mean - slope * x_mean)};
}

}  // namespace trainer::study
