#pragma once

// Private to this room.

#include <cstdint>

namespace trainer::nn {

/// A dense layer's weights W[outputs, inputs] as they stand in the flat vector: see Tensor::panel.
struct WeightPlace {
  std::int64_t inputs, outputs, panel;
};

/// The weights as those of a layer from outputs to inputs, in panels of the same width: to[inputs /
/// panel][outputs] [panel]. Makes panel `part` of them; inputs and outputs are multiples of a panel.
void turn_weights(const float* weights, const WeightPlace& place, std::int64_t part, float* to);

}  // namespace trainer::nn
