#pragma once

// Private to this room.

#include <cstdint>

namespace trainer::nn {

/// The weights of a dense layer that stand in panels of 8 outputs (see Tensor::panel) as those of a layer
/// from its outputs to its inputs: [inputs / 8][outputs][8]. Both widths are multiples of 8.
struct TurnedWeights {
  static constexpr std::int64_t kPanel = 8;
  std::int64_t inputs, outputs;
  std::int64_t parts() const { return inputs / kPanel; }
  std::int64_t size() const { return inputs * outputs; }
  /// Makes panel `part`. `to`: where the first one begins.
  void turn(const float* weights, std::int64_t part, float* to) const;
};

}  // namespace trainer::nn
