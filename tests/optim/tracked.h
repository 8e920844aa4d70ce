#pragma once

#include <cmath>

/// A double with a bound on the error of the same computation in float, by running error analysis
/// (Wilkinson): every float operation adds half a unit in the last place of its result, and errors of the
/// operands are carried on. Conversion from a double is a rounding too; exact values are made with exactly().
class Tracked {
 public:
  Tracked(double constant) : value_(constant), error_(kRoundoff * std::fabs(constant)) {}  // NOLINT: wanted
  static Tracked exactly(double value) { return {value, 0}; }
  static Tracked within(double value, double error) { return {value, error}; }

  double value() const { return value_; }
  double error() const { return error_; }

  friend Tracked operator+(Tracked a, Tracked b) { return rounded(a.value_ + b.value_, a.error_ + b.error_); }
  friend Tracked operator-(Tracked a, Tracked b) { return rounded(a.value_ - b.value_, a.error_ + b.error_); }
  friend Tracked operator*(Tracked a, Tracked b) {
    return rounded(a.value_ * b.value_,
                   std::fabs(a.value_) * b.error_ + std::fabs(b.value_) * a.error_ + a.error_ * b.error_);
  }
  /// The divisor must be positive, its error included.
  friend Tracked operator/(Tracked a, Tracked b) {
    const double quotient = a.value_ / b.value_;
    return rounded(quotient, (a.error_ + std::fabs(quotient) * b.error_) / (b.value_ - b.error_));
  }
  friend Tracked sqrt(Tracked a) {
    const double high = std::sqrt(a.value_ + a.error_);
    const double low = std::sqrt(std::fmax(0, a.value_ - a.error_));
    return rounded(std::sqrt(a.value_), high - low);
  }

 private:
  static constexpr double kRoundoff = 0x1p-24;
  static constexpr double kSmallestNormal = 0x1p-126;

  Tracked(double value, double error) : value_(value), error_(error) {}
  static Tracked rounded(double value, double error) {
    return {value, error + kRoundoff * (std::fabs(value) + error) + kSmallestNormal};
  }

  double value_;
  double error_;
};
