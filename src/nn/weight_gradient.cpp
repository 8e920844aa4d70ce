#include "weight_gradient.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "avx512.h"
#include "bf16.h"
#include "onednn.h"
#include "trainer/core/error.h"

#if TRAINER_HAS_AVX512_KERNEL
#include <immintrin.h>
#endif

namespace trainer::nn {
namespace {

constexpr std::int64_t kInputs = WeightGradient::kInputs, kOutputs = WeightGradient::kOutputs;

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

std::int64_t panels_offset(std::int64_t blocks, std::int64_t capacity) {
  return (blocks * kInputs * capacity + 15) / 16 * 16;
}

/// Rows that are a multiple of a page apart compete for the same lines of a cache.
constexpr std::int64_t kRowsAtATime = 8;

/// Where the rows of a block of inputs go; null: nowhere.
using Rows = std::array<float*, kInputs>;

#if TRAINER_HAS_AVX512_KERNEL

/// sum + x y; of pairs in bf16 both products are added.
template <Precision kPrecision>
__attribute__((target("avx512f,avx512bf16"), always_inline)) inline __m512 multiply_add(__m512 x, __m512 y,
                                                                                        __m512 sum) {
  if constexpr (kPrecision == Precision::bf16)
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
  else
    return _mm512_fmadd_ps(x, y, sum);
}

/// One block of inputs, one panel of outputs (its first 16 kVectors), folded over the leaves.
template <int kVectors, Precision kPrecision>
__attribute__((target("avx512f,avx512bf16"))) void fold_block(const float* x, const float* dy,
                                                              std::span<const Leaf> leaves, float* aside,
                                                              std::int64_t outputs, const Rows& to) {
  constexpr int kLanes = 16, kRowsAhead = 16;
  __m512 sums[kInputs][kVectors];
  float* top = aside;  // past the partial sum that was set aside last
  for (std::size_t leaf = 0;; ++leaf) {
#pragma GCC unroll 12
    for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm512_setzero_ps();
    const Range rows = leaves[leaf].rows;
    const float* d = dy + rows.begin * kOutputs;
    const float* b = x + rows.begin * kInputs;
    // Long shards come from the second cache and beyond; fetching past the end does no harm. Pairs leave
    // places free after a shard, so that its last ones fetch the first ones of the next.
    const std::int64_t steps = kPrecision == Precision::bf16 ? (rows.size() + 1) / 2 : rows.size();
    const std::int64_t with_more =
        kPrecision == Precision::bf16 ? std::max<std::int64_t>(0, steps - kRowsAhead) : steps;
    const std::int64_t next =
        leaf + 1 == leaves.size() ? kRowsAhead : leaves[leaf + 1].rows.begin - rows.begin - with_more;
    std::int64_t ahead = kRowsAhead;
    for (const std::int64_t count : {with_more, steps - with_more}) {
      for (const float* const end = d + count * kOutputs; d != end; b += kInputs, d += kOutputs) {
        __m512 y[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) _mm_prefetch(d + ahead * kOutputs + kLanes * v, _MM_HINT_T0);
        _mm_prefetch(b + (ahead + kRowsAhead) * kInputs, _MM_HINT_T0);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) y[v] = _mm512_loadu_ps(d + kLanes * v);
#pragma GCC unroll 12
        for (int i = 0; i < kInputs; ++i) {
          const __m512 value = _mm512_set1_ps(b[i]);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) sums[i][v] = multiply_add<kPrecision>(value, y[v], sums[i][v]);
        }
      }
      ahead = next;
    }
    for (int f = 0; f < leaves[leaf].folds; ++f) {
      top -= WeightGradient::kBlockFloats;
#pragma GCC unroll 12
      for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v)
          sums[i][v] = _mm512_add_ps(_mm512_loadu_ps(top + i * kOutputs + v * kLanes), sums[i][v]);
    }
    if (leaf + 1 == leaves.size()) break;
#pragma GCC unroll 12
    for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(top + i * kOutputs + v * kLanes, sums[i][v]);
    top += WeightGradient::kBlockFloats;
  }
  __mmask16 masks[kVectors];
  for (int v = 0; v < kVectors; ++v)
    masks[v] = static_cast<__mmask16>((1u << std::min<std::int64_t>(kLanes, outputs - v * kLanes)) - 1);
#pragma GCC unroll 12
  for (int i = 0; i < kInputs; ++i)
    if (to[static_cast<std::size_t>(i)] != nullptr)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        _mm512_mask_storeu_ps(to[static_cast<std::size_t>(i)] + v * kLanes, masks[v], sums[i][v]);
}

#else

template <int kVectors, Precision kPrecision>
void fold_block(const float*, const float*, std::span<const Leaf>, float*, std::int64_t, const Rows&) {
  fail(ErrorKind::internal, "the AVX-512 kernel was asked for where there is none");
}

#endif

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

bool WeightGradient::possible() { return TRAINER_HAS_AVX512_KERNEL != 0 && onednn_has_avx512(); }

std::int64_t WeightGradient::packed_floats(std::int64_t capacity) const {
  return panels_offset(blocks(), capacity) + (outputs_ + kOutputs - 1) / kOutputs * kOutputs * capacity;
}

Range whole_pairs(Range rows, Range shard) {
  const auto even = [&](std::int64_t row) { return row + (row - shard.begin) % 2; };
  return {std::min(even(rows.begin), shard.end), std::min(even(rows.end), shard.end)};
}

void WeightGradient::pack(const float* x, const float* dy, Range rows, Range shard, std::int64_t capacity,
                          float* packed) const {
  if (precision_ == Precision::bf16)
    pack_pairs(x, dy, whole_pairs(rows, shard), shard, capacity, packed);
  else
    pack_rows(x, dy, rows, capacity, packed);
}

/// Pair p of a shard stands in the place of the shard's row p.
void WeightGradient::pack_pairs(const float* x, const float* dy, Range rows, Range shard,
                                std::int64_t capacity, float* packed) const {
  float* const panels = packed + panels_offset(blocks(), capacity);
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

void WeightGradient::pack_rows(const float* x, const float* dy, Range rows, std::int64_t capacity,
                               float* packed) const {
  float* const panels = packed + panels_offset(blocks(), capacity);
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

void WeightGradient::fold(const float* packed, std::int64_t capacity, std::span<const Leaf> leaves,
                          Range blocks_wanted, Range outputs, float* aside, const Place& place) const {
  const float* const panels = packed + panels_offset(blocks(), capacity);
  for (std::int64_t output = outputs.begin; output < outputs.end; output += kOutputs) {
    const std::int64_t width = std::min(kOutputs, outputs.end - output), column = output - outputs.begin;
    for (std::int64_t block = blocks_wanted.begin; block < blocks_wanted.end; ++block) {
      Rows to{};
      for (std::int64_t i = 0; i < kInputs; ++i) {
        const std::int64_t input = block * kInputs + i;
        float*& row = to[static_cast<std::size_t>(i)];
        if (input < inputs_)
          row = place.weights + (input - blocks_wanted.begin * kInputs) * place.stride + column;
        else if (input == inputs_ && place.bias != nullptr)
          row = place.bias + column;
      }
      const bool wide = width > kOutputs / 2;
      const auto kernel = precision_ == Precision::bf16
                              ? (wide ? fold_block<2, Precision::bf16> : fold_block<1, Precision::bf16>)
                              : (wide ? fold_block<2, Precision::f32> : fold_block<1, Precision::f32>);
      kernel(packed + block * capacity * kInputs, panels + output * capacity, leaves, aside, width, to);
    }
  }
}

}  // namespace trainer::nn
