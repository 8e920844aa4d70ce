#pragma once

// The inner loops of the weight gradient, one for each instruction set. Private to this room.

#include <cstdint>
#include <span>

#include "trainer/nn/network.h"
#include "weight_gradient.h"

namespace trainer::nn {

/// Where the sums of a block of inputs go.
struct BlockPlace {
  float* weights = nullptr;      ///< the first input's first output
  std::int64_t stride = 0;       ///< floats from an input to the next
  std::int64_t next_vector = 0;  ///< floats from a vector of outputs to the next
  std::int64_t inputs = 0;       ///< that are wanted, from the first on
  float* bias = nullptr;  ///< where those of the input after them go, vector after vector; null: nowhere
};

/// One block of inputs, one panel of outputs (the first `outputs` of it), folded over the leaves. `x`: packed
/// [rows][inputs of the block], `dy`: packed [rows][outputs of the panel], `aside`: a stack of blocks.
using FoldBlock = void (*)(const float* x, const float* dy, std::span<const Leaf> leaves, float* aside,
                           std::int64_t outputs, const BlockPlace& place);

/// 12 inputs x 32 outputs stand in registers. `half`: no more than 16 of the outputs are wanted.
FoldBlock fold_block_avx512(bool half, Precision precision);
/// 6 inputs x 16 outputs. `half`: no more than 8 of the outputs are wanted.
FoldBlock fold_block_avx2(bool half);

}  // namespace trainer::nn
