#include <algorithm>

#include "fold_block.h"
#include "own_kernels.h"
#include "trainer/core/error.h"

#if TRAINER_HAS_AVX512_KERNEL
#include <immintrin.h>

namespace trainer::nn {
namespace {

constexpr int kInputs = 12, kOutputs = 32, kLanes = 16;

/// sum + x y; of pairs in bf16 both products are added.
template <Precision kPrecision>
__attribute__((target("avx512f,avx512bf16"), always_inline)) inline __m512 multiply_add(__m512 x, __m512 y,
                                                                                        __m512 sum) {
  if constexpr (kPrecision == Precision::bf16)
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
  else
    return _mm512_fmadd_ps(x, y, sum);
}

/// The first 16 kVectors outputs of a panel.
template <int kVectors, Precision kPrecision>
__attribute__((target("avx512f,avx512bf16"))) void fold_block(const float* x, const float* dy,
                                                              std::span<const Leaf> leaves, float* aside,
                                                              std::int64_t outputs, const BlockPlace& place) {
  constexpr int kRowsAhead = 16;
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
    if (i < place.inputs)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        _mm512_mask_storeu_ps(place.weights + i * place.stride + v * place.next_vector, masks[v], sums[i][v]);
    else if (i == place.inputs && place.bias != nullptr)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) _mm512_mask_storeu_ps(place.bias + v * kLanes, masks[v], sums[i][v]);
}

}  // namespace

FoldBlock fold_block_avx512(bool half, Precision precision) {
  if (precision == Precision::bf16)
    return half ? fold_block<1, Precision::bf16> : fold_block<2, Precision::bf16>;
  return half ? fold_block<1, Precision::f32> : fold_block<2, Precision::f32>;
}

}  // namespace trainer::nn

#else

trainer::nn::FoldBlock trainer::nn::fold_block_avx512(bool, Precision) {
  fail(ErrorKind::internal, "the AVX-512 kernel was asked for where there is none");
}

#endif
