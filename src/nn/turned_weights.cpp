#include "turned_weights.h"

namespace trainer::nn {

void turn_weights(const float* weights, const WeightPlace& place, std::int64_t part, float* to) {
  const std::int64_t panel = place.panel, square = panel * panel;
  to += part * panel * place.outputs;
  for (std::int64_t o = 0; o < place.outputs; o += panel, to += square) {
    const float* const from = weights + o * place.inputs + part * square;  // [inputs of the part][panel]
    for (std::int64_t output = 0; output < panel; ++output)
      for (std::int64_t input = 0; input < panel; ++input)
        to[output * panel + input] = from[input * panel + output];
  }
}

}  // namespace trainer::nn
