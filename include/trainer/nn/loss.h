#pragma once

#include <cstdint>
#include <string>

#include "trainer/nn/model.h"

namespace trainer::nn {

enum class LossKind {
  softmax_cross_entropy,
  binary_cross_entropy,
  mse,
  half_squared_error,
  mae,
  huber,
  kl_divergence
};

/// A loss text, parsed. Its value for one row; the reported loss is the average over rows. With the targets
/// q, the outputs a and softmax p: softmax_cross_entropy -sum q ln p; kl_divergence sum q ln(q / p), where
/// 0 ln 0 is 0; half_squared_error 1/2 sum (a - q)^2; the others are averages over the outputs:
/// binary_cross_entropy, mse, mae, and huber (Huber, 1964): 1/2 d^2 for |d| <= delta, else
/// delta (|d| - delta / 2), with d = a - q.
struct Loss {
  LossKind kind = LossKind::softmax_cross_entropy;
  double label_smoothing = 0;  ///< softmax_cross_entropy: the true class gets 1 - e, each other e / (K - 1)
  double delta = 1;            ///< huber
  bool sum_outputs = false;    ///< binary_cross_entropy, mse, mae, huber: the sum over outputs
  std::string text;

  /// Throws Error(usage) with a caret.
  static Loss parse(const std::string& source);
  /// The loss of a task when none is named: cross entropy for classification (binary with one output), else
  /// mse.
  static std::string default_for(const std::string& task, std::int64_t outputs);
  /// The output activation that this loss computes together with itself, from the logits; dense: none, the
  /// output is taken as it stands.
  LayerKind joint_activation() const;
  /// With one output, before the joint activation: class 1 from this value on. Where the activated output is
  /// 1/2.
  float threshold() const { return kind == LossKind::binary_cross_entropy ? 0.0f : 0.5f; }
};

/// The class that a row names, for accuracy and every other figure: of `count` values the largest (the lowest
/// class of equals), of a single one class 1 from `threshold` on, else class 0; -1 when any of them is nan.
/// Outputs are compared before the joint activation, which may make different ones equal.
std::int32_t predicted_class(const float* values, std::int64_t count, float threshold);

/// Applies DESIGN's rule for output activation and loss: drops a final softmax or sigmoid that the loss
/// computes itself; any other activation there is an Error(usage) with a caret. Returns the model to compute.
Model join(Model model, const Loss& loss);

/// The targets of a run of rows: class indices or values, exactly one of them. Classes are one-hot rows for
/// every loss (one output: the 0/1 label).
struct Targets {
  const std::int32_t* classes = nullptr;  ///< [rows]
  const float* values = nullptr;          ///< [rows, outputs]
  const float* weights = nullptr;         ///< [rows]: factors of the rows' losses; null: 1
};

/// Sums over rows.
struct LossSums {
  double loss = 0;     ///< of weighted losses
  double correct = 0;  ///< rows whose class was predicted rightly, not weighted
};

/// The loss of outputs that are activated already, [rows, columns] (the mean of several networks, say): as
/// defined above. A probability below the least normal float counts as that. Classes are predicted from the
/// outputs themselves, one output from 1/2 on.
LossSums loss_of_outputs(const Loss& loss, const float* outputs, std::int64_t rows, std::int64_t columns,
                         const Targets& targets);

}  // namespace trainer::nn
