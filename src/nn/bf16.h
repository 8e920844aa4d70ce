#pragma once

// Numbers in bf16: the upper half of a float. What turns floats into them, to nearest and ties to even, in
// the orders in which products read them. Needs a processor that has_bf16(). Private to this room.

#include <cstdint>

#include "trainer/core/tree.h"

namespace trainer::nn {

using Bf16 = std::uint16_t;

/// The length of rows of `width` numbers in bf16, zeros after them: products read whole pieces.
constexpr std::int64_t padded_depth(std::int64_t width) { return (width + 15) / 16 * 16; }

/// A dense layer's weights W[outputs, inputs] as they stand in the flat vector: see Tensor::panel.
struct WeightPlace {
  std::int64_t inputs, outputs, panel;
};

/// The weights of a product y[rows, columns] = x[rows, depth] M in bf16: [columns / panel][padded depth /
/// 2][panel][2], zeros beyond columns and depth.
struct Bf16Matrix {
  std::int64_t depth, columns, panel;
  std::int64_t offset = 0;  ///< of its first number among View::bf16_weights
  std::int64_t panels() const { return (columns + panel - 1) / panel; }
  std::int64_t panel_size() const { return padded_depth(depth) * panel; }
  std::int64_t size() const { return panels() * panel_size(); }
};

/// to: [rows][padded_depth(width)].
void round_rows(const float* x, std::int64_t rows, std::int64_t width, Bf16* to);

/// Panel `panel` of a matrix of the transposed weights (depth: inputs, columns: outputs). `to`: where the
/// matrix begins.
void round_transposed_weights(const float* weights, const WeightPlace& place, const Bf16Matrix& matrix,
                              std::int64_t panel, Bf16* to);

/// The same for the weights themselves (depth: outputs, columns: inputs).
void round_weights(const float* weights, const WeightPlace& place, const Bf16Matrix& matrix,
                   std::int64_t panel, Bf16* to);

/// Pairs of rows, each row `stride` floats after the one before and `width` long: to[pair][c] is (row 2 pair,
/// row 2 pair + 1)[c] in the place of a float, [(rows + 1) / 2][padded]; zeros for a row that is missing and
/// beyond the width.
void pair_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t width,
               std::int64_t padded, float* to);

/// A pair of ones.
float pair_of_ones();

}  // namespace trainer::nn
