#include <algorithm>

#include "fold_block.h"
#include "own_kernels.h"
#include "trainer/core/error.h"

#if TRAINER_HAS_AVX2_KERNEL
#include <immintrin.h>

namespace trainer::nn {
namespace {

constexpr int kInputs = 6, kOutputs = 16, kLanes = 8;

__m256i first_lanes(std::int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// The first 8 kVectors outputs of a panel. Every loop over registers is unrolled: GCC 12 keeps the sums in
/// memory otherwise.
template <int kVectors>
void fold_block(const float* x, const float* dy, std::span<const Leaf> leaves, float* aside,
                std::int64_t outputs, const BlockPlace& place) {
  constexpr int kRowsAhead = 16;
  __m256 sums[kInputs][kVectors];
  float* top = aside;  // past the partial sum that was set aside last
  for (std::size_t leaf = 0;; ++leaf) {
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm256_setzero_ps();
    const Range rows = leaves[leaf].rows;
    const float* d = dy + rows.begin * kOutputs;
    const float* b = x + rows.begin * kInputs;
    for (const float* const end = d + rows.size() * kOutputs; d != end; b += kInputs, d += kOutputs) {
      // Fetching past the end does no harm.
      _mm_prefetch(d + kRowsAhead * kOutputs, _MM_HINT_T0);
      _mm_prefetch(b + 2 * kRowsAhead * kInputs, _MM_HINT_T0);
      __m256 y[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) y[v] = _mm256_loadu_ps(d + kLanes * v);
#pragma GCC unroll 6
      for (int i = 0; i < kInputs; ++i) {
        const __m256 value = _mm256_broadcast_ss(b + i);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm256_fmadd_ps(value, y[v], sums[i][v]);
      }
    }
    for (int f = 0; f < leaves[leaf].folds; ++f) {
      top -= WeightGradient::kBlockFloats;
#pragma GCC unroll 6
      for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v)
          sums[i][v] = _mm256_add_ps(_mm256_loadu_ps(top + i * kOutputs + v * kLanes), sums[i][v]);
    }
    if (leaf + 1 == leaves.size()) break;
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(top + i * kOutputs + v * kLanes, sums[i][v]);
    top += WeightGradient::kBlockFloats;
  }
  // Masked stores are slow on some processors: only where there is a mask.
  const bool whole = outputs >= kVectors * kLanes;
  const auto store = [&](float* to, int v, __m256 sum) {
    if (whole)
      _mm256_storeu_ps(to, sum);
    else
      _mm256_maskstore_ps(to, first_lanes(outputs - v * kLanes), sum);
  };
#pragma GCC unroll 6
  for (int i = 0; i < kInputs; ++i)
    if (i < place.inputs)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        store(place.weights + i * place.stride + v * place.next_vector, v, sums[i][v]);
    else if (i == place.inputs && place.bias != nullptr)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(place.bias + v * kLanes, v, sums[i][v]);
}

}  // namespace

FoldBlock fold_block_avx2(bool half) { return half ? fold_block<1> : fold_block<2>; }

}  // namespace trainer::nn

#else

trainer::nn::FoldBlock trainer::nn::fold_block_avx2(bool) {
  fail(ErrorKind::internal, "the AVX2 kernel was asked for where there is none");
}

#endif
