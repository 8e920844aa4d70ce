#pragma once

#include <cstdint>
#include <string>

#include "trainer/nn/network.h"

namespace trainer::train {

/// How a run is computed, where there is a choice (`--tuning`): for comparisons. No part of what is computed.
struct Tuning {
  enum class WeightGradient { automatic, own, onednn };
  bool overlap = true;  ///< parameters come in under the next step's forward pass
  WeightGradient weight_gradient = WeightGradient::automatic;
  bool shared_gradients = true;  ///< ranks of a node fold each other's gradients where they lie

  /// Assignments, as in "overlap=off weight_gradient=onednn"; what is not named stays as it is by default.
  /// Throws Error(usage) with a caret.
  static Tuning parse(const std::string& text);
  /// Every choice, as parse() reads it.
  std::string text() const;
  /// `rows_of_shard`: what the automatic choice follows from.
  nn::Tuning of_network(std::int64_t rows_of_shard, nn::Precision precision = nn::Precision::f32) const;
};

}  // namespace trainer::train
