#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/core/error.h"
#include "trainer/nn/loss.h"

namespace trainer::nn {
namespace {

constexpr double kLeast = std::numeric_limits<float>::min();

/// A nan stays one.
double log_of(double probability) { return std::log(probability < kLeast ? kLeast : probability); }

/// The target q of an output, its activated value a, and what is said about the row.
struct Term {
  const Loss& loss;
  double other;  // what smoothing moves to each class that is not the true one

  double smoothed(double q) const {
    return loss.label_smoothing > 0 ? q * (1 - loss.label_smoothing) + (1 - q) * other : q;
  }
  double operator()(double q, double a) const {
    const double d = a - q;
    switch (loss.kind) {
      case LossKind::softmax_cross_entropy:
        return smoothed(q) == 0 ? 0 : -smoothed(q) * log_of(a);
      case LossKind::kl_divergence:
        return q == 0 ? 0 : q * (log_of(q) - log_of(a));
      case LossKind::binary_cross_entropy:
        return -(q * log_of(a) + (1 - q) * log_of(1 - a));
      case LossKind::mse:
        return d * d;
      case LossKind::half_squared_error:
        return 0.5 * d * d;
      case LossKind::mae:
        return std::abs(d);
      case LossKind::huber:
        return std::abs(d) <= loss.delta ? 0.5 * d * d : loss.delta * (std::abs(d) - 0.5 * loss.delta);
    }
    fail(ErrorKind::internal, "unknown loss");
  }
};

bool is_average(const Loss& loss) {
  switch (loss.kind) {
    case LossKind::binary_cross_entropy:
    case LossKind::mse:
    case LossKind::mae:
    case LossKind::huber:
      return !loss.sum_outputs;
    default:
      return false;
  }
}

}  // namespace

LossSums loss_of_outputs(const Loss& loss, const float* outputs, std::int64_t rows, std::int64_t columns,
                         const Targets& targets) {
  const Term term{loss, columns > 1 ? loss.label_smoothing / static_cast<double>(columns - 1) : 0.0};
  const double share = is_average(loss) ? 1.0 / static_cast<double>(columns) : 1.0;
  LossSums sums;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* mine = outputs + r * columns;
    const float* values = targets.values == nullptr ? nullptr : targets.values + r * columns;
    const std::int32_t label =
        values == nullptr ? targets.classes[r] : predicted_class(values, columns, 0.5f);
    double row = 0;
    for (std::int64_t k = 0; k < columns; ++k) {
      const double one_hot = columns == 1 ? static_cast<double>(label) : (label == k ? 1.0 : 0.0);
      row += term(values == nullptr ? one_hot : static_cast<double>(values[k]), static_cast<double>(mine[k]));
    }
    sums.loss += share * row * (targets.weights == nullptr ? 1.0 : static_cast<double>(targets.weights[r]));
    const std::int32_t predicted = predicted_class(mine, columns, 0.5f);
    sums.correct += predicted >= 0 && predicted == label ? 1 : 0;
  }
  return sums;
}

}  // namespace trainer::nn
