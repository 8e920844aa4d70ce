#include "reference_loss.h"

#include <cmath>

namespace trainer::nn::reference {
namespace {

/// Targets as numbers: classes become one-hot rows (one output: the label itself); smoothed when the loss
/// says so.
Matrix targets_of(const Loss& loss, const Batch& batch, std::int64_t outputs) {
  Matrix q(batch.rows, outputs);
  for (std::int64_t r = 0; r < batch.rows; ++r) {
    for (std::int64_t k = 0; k < outputs; ++k) {
      if (!batch.values.empty())
        q(r, k) = batch.values[static_cast<std::size_t>(r * outputs + k)];
      else if (outputs == 1)
        q(r, k) = batch.classes[static_cast<std::size_t>(r)];
      else
        q(r, k) = batch.classes[static_cast<std::size_t>(r)] == k ? 1 : 0;
    }
    if (loss.label_smoothing == 0) continue;
    double total = 0;
    for (std::int64_t k = 0; k < outputs; ++k) total += q(r, k);
    for (std::int64_t k = 0; k < outputs; ++k)
      q(r, k) = q(r, k) * (1 - loss.label_smoothing) +
                (total - q(r, k)) * loss.label_smoothing / static_cast<double>(outputs - 1);
  }
  return q;
}

std::int64_t largest_of(const Matrix& m, std::int64_t r) {
  std::int64_t best = 0;
  for (std::int64_t k = 1; k < m.columns; ++k)
    if (m(r, k) > m(r, best)) best = k;
  return best;
}

/// Whether the row's class is predicted; `outputs` are activated, so that one output has its threshold at
/// 1/2.
bool is_correct(const Matrix& outputs, const Matrix& q, std::int64_t r) {
  if (outputs.columns == 1) return (outputs(r, 0) >= 0.5) == (q(r, 0) >= 0.5);
  return largest_of(outputs, r) == largest_of(q, r);
}

bool is_softmax(const Loss& loss) {
  return loss.kind == LossKind::softmax_cross_entropy || loss.kind == LossKind::kl_divergence;
}

Matrix activated(const Loss& loss, const Matrix& z) {
  Matrix p = z;
  for (std::int64_t r = 0; r < z.rows; ++r) {
    double sum = 0;
    for (std::int64_t k = 0; k < z.columns; ++k) {
      if (loss.kind == LossKind::binary_cross_entropy) p(r, k) = 1 / (1 + std::exp(-z(r, k)));
      if (is_softmax(loss)) sum += std::exp(z(r, k) - z(r, largest_of(z, r)));
    }
    if (is_softmax(loss))
      for (std::int64_t k = 0; k < z.columns; ++k) p(r, k) = std::exp(z(r, k) - z(r, largest_of(z, r))) / sum;
  }
  return p;
}

/// ln p_k of a softmax.
double log_softmax(const Matrix& z, std::int64_t r, std::int64_t k) {
  const double largest = z(r, largest_of(z, r));
  double sum = 0;
  for (std::int64_t j = 0; j < z.columns; ++j) sum += std::exp(z(r, j) - largest);
  return z(r, k) - largest - std::log(sum);
}

/// ln sigmoid(x).
double log_sigmoid(double x) { return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x)); }

}  // namespace

LossOutcome loss_of(const Loss& loss, const Matrix& z, const Batch& batch, Disturbance* disturbance) {
  const auto outputs = static_cast<double>(z.columns);
  const Matrix q = targets_of(loss, batch, z.columns);
  LossOutcome out{.outputs = activated(loss, z), .gradient = Matrix(z.rows, z.columns)};
  const double share = loss.kind == LossKind::half_squared_error ? 0.5
                       : is_softmax(loss) || loss.sum_outputs    ? 1.0
                                                                 : 1 / outputs;
  for (std::int64_t r = 0; r < z.rows; ++r) {
    double weight = 0;
    for (std::int64_t k = 0; k < z.columns; ++k) weight += q(r, k);
    const double row_weight =
        batch.weights.empty() ? 1.0 : static_cast<double>(batch.weights[static_cast<std::size_t>(r)]);
    for (std::int64_t k = 0; k < z.columns; ++k) {
      const double p = out.outputs(r, k), t = q(r, k), d = z(r, k) - t;
      double value = 0, slope = 0, magnitude = 0, uncertainty = 0;
      switch (loss.kind) {
        case LossKind::softmax_cross_entropy:
          value = t == 0 ? 0 : -t * log_softmax(z, r, k);
          slope = p * weight - t;
          magnitude = p * weight + std::abs(t);
          break;
        case LossKind::kl_divergence:
          value = t == 0 ? 0 : t * (std::log(t) - log_softmax(z, r, k));
          uncertainty = t == 0 ? 0 : t * (1 + std::abs(std::log(t)));
          slope = p * weight - t;
          magnitude = p * weight + std::abs(t);
          break;
        case LossKind::mae:
          value = std::abs(d);
          slope = d > 0 ? 1 : d < 0 ? -1 : 0;
          break;
        case LossKind::huber:
          value = std::abs(d) <= loss.delta ? d * d / 2 : loss.delta * (std::abs(d) - loss.delta / 2);
          slope = std::abs(d) <= loss.delta ? d : d > 0 ? loss.delta : -loss.delta;
          magnitude = std::abs(z(r, k)) + std::abs(t);
          break;
        case LossKind::binary_cross_entropy:
          value = -(t * log_sigmoid(z(r, k)) + (1 - t) * log_sigmoid(-z(r, k)));
          slope = p - t;
          magnitude = p + std::abs(t);
          break;
        case LossKind::mse:
        case LossKind::half_squared_error:
          value = (z(r, k) - t) * (z(r, k) - t);
          slope = 2 * (z(r, k) - t);
          magnitude = 2 * (std::abs(z(r, k)) + std::abs(t));
          break;
      }
      if (disturbance != nullptr) {
        value = (*disturbance)(value, std::abs(value) + std::abs(z(r, k)) * (1 + std::abs(t)) + uncertainty);
        slope = (*disturbance)(slope, 2 * magnitude);
      }
      out.loss += row_weight * share * value;
      out.gradient(r, k) = row_weight * share * slope;
    }
    out.correct += is_correct(out.outputs, q, r) ? 1 : 0;
  }
  return out;
}

}  // namespace trainer::nn::reference
