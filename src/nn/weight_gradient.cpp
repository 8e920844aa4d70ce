#include "weight_gradient.h"

#include <algorithm>
#include <cstring>

#include "bf16.h"
#include "fold_block.h"
#include "onednn.h"
#include "own_kernels.h"
#include "trainer/core/error.h"

namespace trainer::nn {
namespace {

/// Appends the leaves of a node; whether there are any.
bool append_leaves(Range node, const std::function<Range(std::int64_t)>& rows_of, std::vector<Leaf>& leaves) {
  if (node.size() == 1) {
    const Range rows = rows_of(node.begin);
    if (rows.size() == 0) return false;
    leaves.push_back({rows});
    return true;
  }
  const std::int64_t middle = tree_cut(node);
  const bool left = append_leaves({node.begin, middle}, rows_of, leaves);
  const bool right = append_leaves({middle, node.end}, rows_of, leaves);
  if (left && right) ++leaves.back().folds;
  return left || right;
}

/// Rows that are a multiple of a page apart compete for the same lines of a cache.
constexpr std::int64_t kRowsAtATime = 8;

/// The registers of an instruction set.
constexpr WeightGradient::Block kAvx512 = {.inputs = 12, .outputs = 32, .lanes = 16},
                                kAvx2 = {.inputs = 6, .outputs = 16, .lanes = 8};

/// Copies `rows` rows of `width` floats into rows of kWidth, zeros after them.
template <std::int64_t kWidth>
void copy_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t width, float* to) {
  if (width == kWidth) {
    for (std::int64_t r = 0; r < rows; ++r) std::memcpy(to + r * kWidth, from + r * stride, kWidth * 4);
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    std::fill_n(std::copy_n(from + r * stride, width, to + r * kWidth), kWidth - width, 0.0f);
  }
}

}  // namespace

std::vector<Leaf> leaves_of(Range node, const std::function<Range(std::int64_t)>& rows_of) {
  std::vector<Leaf> leaves;
  append_leaves(node, rows_of, leaves);
  return leaves;
}

std::int64_t most_set_aside(std::span<const Leaf> leaves) {
  std::int64_t now = 0, most = 0;
  for (const Leaf& leaf : leaves) {
    now += 1 - leaf.folds;
    most = std::max(most, now);
  }
  return most;
}

bool WeightGradient::possible() { return block_here().lanes > 0; }

WeightGradient::Block WeightGradient::block_here() {
  if (TRAINER_HAS_AVX512_KERNEL != 0 && onednn_has_avx512()) return kAvx512;
  return TRAINER_HAS_AVX2_KERNEL != 0 && onednn_has_avx2() ? kAvx2 : Block{};
}

std::int64_t WeightGradient::least_rows() { return block_here() == kAvx512 ? 128 : 1; }

std::int64_t WeightGradient::panels_offset(std::int64_t capacity) const {
  return (blocks() * block_.inputs * capacity + 15) / 16 * 16;
}

std::int64_t WeightGradient::packed_floats(std::int64_t capacity) const {
  const std::int64_t panels = (outputs_ + block_.outputs - 1) / block_.outputs;
  return panels_offset(capacity) + panels * block_.outputs * capacity;
}

Range whole_pairs(Range rows, Range shard) {
  const auto even = [&](std::int64_t row) { return row + (row - shard.begin) % 2; };
  return {std::min(even(rows.begin), shard.end), std::min(even(rows.end), shard.end)};
}

template <std::int64_t kInputs, std::int64_t kOutputs>
void WeightGradient::pack_rows(const float* x, const float* dy, Range rows, std::int64_t capacity,
                               float* packed) const {
  float* const panels = packed + panels_offset(capacity);
  for (std::int64_t first = rows.begin; first < rows.end; first += kRowsAtATime) {
    const std::int64_t count = std::min(kRowsAtATime, rows.end - first);
    for (std::int64_t block = 0; block < blocks(); ++block) {
      const std::int64_t input = block * kInputs, width = std::min(kInputs, inputs_ - input);
      float* to = packed + (block * capacity + first) * kInputs;
      copy_rows<kInputs>(x + first * inputs_ + input, inputs_, count, width, to);
      if (bias_ && width < kInputs)
        for (std::int64_t r = 0; r < count; ++r) to[r * kInputs + width] = 1.0f;
    }
    for (std::int64_t output = 0; output < outputs_; output += kOutputs)
      copy_rows<kOutputs>(dy + first * outputs_ + output, outputs_, count,
                          std::min(kOutputs, outputs_ - output),
                          panels + output * capacity + first * kOutputs);
  }
}

void WeightGradient::pack(const float* x, const float* dy, Range rows, Range shard, std::int64_t capacity,
                          float* packed) const {
  if (precision_ == Precision::bf16)
    pack_pairs(x, dy, whole_pairs(rows, shard), shard, capacity, packed);
  else if (block_ == kAvx512)
    pack_rows<kAvx512.inputs, kAvx512.outputs>(x, dy, rows, capacity, packed);
  else
    pack_rows<kAvx2.inputs, kAvx2.outputs>(x, dy, rows, capacity, packed);
}

/// Pair p of a shard stands in the place of the shard's row p.
void WeightGradient::pack_pairs(const float* x, const float* dy, Range rows, Range shard,
                                std::int64_t capacity, float* packed) const {
  constexpr std::int64_t kInputs = kAvx512.inputs, kOutputs = kAvx512.outputs;
  float* const panels = packed + panels_offset(capacity);
  for (std::int64_t first = rows.begin; first < rows.end; first += kRowsAtATime) {
    const std::int64_t count = std::min(kRowsAtATime, rows.end - first),
                       place = shard.begin + (first - shard.begin) / 2;
    for (std::int64_t block = 0; block < blocks(); ++block) {
      const std::int64_t input = block * kInputs, width = std::min(kInputs, inputs_ - input);
      float* const to = packed + (block * capacity + place) * kInputs;
      pair_rows(x + first * inputs_ + input, inputs_, count, width, kInputs, to);
      if (bias_ && width < kInputs)
        for (std::int64_t pair = 0; 2 * pair < count; ++pair) to[pair * kInputs + width] = pair_of_ones();
    }
    for (std::int64_t output = 0; output < outputs_; output += kOutputs)
      pair_rows(dy + first * outputs_ + output, outputs_, count, std::min(kOutputs, outputs_ - output),
                kOutputs, panels + output * capacity + place * kOutputs);
  }
}

void WeightGradient::fold(const float* packed, std::int64_t capacity, std::span<const Leaf> leaves,
                          Range blocks_wanted, Range outputs, float* aside, const Place& place) const {
  const float* const panels = packed + panels_offset(capacity);
  for (std::int64_t output = outputs.begin; output < outputs.end; output += block_.outputs) {
    const std::int64_t width = std::min(block_.outputs, outputs.end - output),
                       column = output - outputs.begin;
    const bool half = width <= block_.lanes;
    const FoldBlock fold_block =
        block_ == kAvx512 ? fold_block_avx512(half, precision_) : fold_block_avx2(half);
    for (std::int64_t block = blocks_wanted.begin; block < blocks_wanted.end; ++block) {
      const std::int64_t input = block * block_.inputs, wanted = std::min(block_.inputs, inputs_ - input);
      const BlockPlace to{.weights = place.weights +
                                     (block - blocks_wanted.begin) * block_.inputs * place.stride +
                                     column / block_.lanes * place.next_vector,
                          .stride = place.stride,
                          .next_vector = place.next_vector,
                          .inputs = wanted,
                          .bias = place.bias != nullptr ? place.bias + column : nullptr};
      fold_block(packed + block * capacity * block_.inputs, panels + output * capacity, leaves, aside, width,
                 to);
    }
  }
}

}  // namespace trainer::nn
