#include "turned_weights.h"

#include "own_kernels.h"

#if TRAINER_HAS_AVX2_KERNEL
#include <immintrin.h>
#endif

namespace trainer::nn {
namespace {

constexpr std::int64_t kPanel = TurnedWeights::kPanel;

#if TRAINER_HAS_AVX2_KERNEL

/// to[8][8] = from[8][8], transposed.
void transpose(const float* from, float* to) {
  __m256 rows[kPanel], pairs[kPanel], fours[kPanel];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) rows[r] = _mm256_loadu_ps(from + r * kPanel);
#pragma GCC unroll 4
  for (int r = 0; r < 8; r += 2) {
    pairs[r] = _mm256_unpacklo_ps(rows[r], rows[r + 1]);
    pairs[r + 1] = _mm256_unpackhi_ps(rows[r], rows[r + 1]);
  }
#pragma GCC unroll 2
  for (int r = 0; r < 8; r += 4) {
    fours[r] = _mm256_shuffle_ps(pairs[r], pairs[r + 2], 0x44);
    fours[r + 1] = _mm256_shuffle_ps(pairs[r], pairs[r + 2], 0xee);
    fours[r + 2] = _mm256_shuffle_ps(pairs[r + 1], pairs[r + 3], 0x44);
    fours[r + 3] = _mm256_shuffle_ps(pairs[r + 1], pairs[r + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * kPanel, _mm256_permute2f128_ps(fours[c], fours[c + 4], 0x20));
    _mm256_storeu_ps(to + (c + 4) * kPanel, _mm256_permute2f128_ps(fours[c], fours[c + 4], 0x31));
  }
}

#else

void transpose(const float* from, float* to) {
  for (std::int64_t r = 0; r < kPanel; ++r)
    for (std::int64_t c = 0; c < kPanel; ++c) to[c * kPanel + r] = from[r * kPanel + c];
}

#endif

}  // namespace

void TurnedWeights::turn(const float* weights, std::int64_t part, float* to) const {
  constexpr std::int64_t kSquare = kPanel * kPanel;
  to += part * kPanel * outputs;
  for (std::int64_t o = 0; o < outputs; o += kPanel, to += kSquare)
    transpose(weights + o * inputs + part * kSquare, to);
}

}  // namespace trainer::nn
