#pragma once

#include <cstdint>
#include <string>

#include "trainer/nn/model.h"

namespace trainer::nn {

enum class LossKind { softmax_cross_entropy, binary_cross_entropy, mse, half_squared_error };

/// A loss text, parsed. Its value for one row; the reported loss is the average over rows.
struct Loss {
  LossKind kind = LossKind::softmax_cross_entropy;
  double label_smoothing = 0;  ///< softmax_cross_entropy: the true class gets 1 - e, each other e / (K - 1)
  bool sum_outputs = false;    ///< binary_cross_entropy, mse: the sum over outputs instead of the average
  std::string text;

  /// Throws Error(usage) with a caret.
  static Loss parse(const std::string& source);
  /// The loss of a task when none is named: cross entropy for classification (binary with one output), else
  /// mse.
  static std::string default_for(const std::string& task, std::int64_t outputs);
  /// The output activation that this loss computes together with itself, from the logits; dense: none, the
  /// output is taken as it stands.
  LayerKind joint_activation() const;
};

/// Applies DESIGN's rule for output activation and loss: drops a final softmax or sigmoid that the loss
/// computes itself; any other activation there is an Error(usage) with a caret. Returns the model to compute.
Model join(Model model, const Loss& loss);

/// The targets of a run of rows: class indices or values, exactly one of them.
struct Targets {
  const std::int32_t* classes = nullptr;  ///< [rows]
  const float* values = nullptr;          ///< [rows, outputs]
};

/// Sums over rows.
struct LossSums {
  double loss = 0;
  double correct = 0;  ///< rows whose class was predicted rightly
};

}  // namespace trainer::nn
