#include "bf16.h"

#include <algorithm>
#include <bit>

#include "own_kernels.h"
#include "trainer/core/error.h"

#if TRAINER_HAS_AVX512_KERNEL
#include <immintrin.h>
#endif

namespace trainer::nn {

float pair_of_ones() { return std::bit_cast<float>(std::uint32_t{0x3f803f80}); }

#if TRAINER_HAS_AVX512_KERNEL

#define TRAINER_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace {

constexpr std::int64_t kLanes = 16;

__mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<std::int64_t>(count, 0, kLanes)) - 1);
}

/// 16 floats, zeros from the mask on; of no row: zeros.
TRAINER_BF16 inline __m512 load(const float* from, __mmask16 mask) {
  return from == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, from);
}

TRAINER_BF16 inline __m256i round(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }

/// Pairs (x, y) of 16 lanes.
TRAINER_BF16 inline __m512i pairs(__m512 x, __m512 y) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(round(x)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(round(y)), 16));
}

/// 32 floats in a row as 16 pairs; `count` of them, zeros after.
TRAINER_BF16 inline __m512i adjacent_pairs(const float* from, std::int64_t count) {
  const __m512 low = load(from, first_lanes(count)),
               high = load(count > kLanes ? from + kLanes : nullptr, first_lanes(count - kLanes));
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/// 16 rows of 16 pairs, transposed.
TRAINER_BF16 inline void transpose(__m512i (&rows)[kLanes]) {
  __m512i a[kLanes], b[kLanes];
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) {
    a[2 * k] = _mm512_unpacklo_epi32(rows[2 * k], rows[2 * k + 1]);
    a[2 * k + 1] = _mm512_unpackhi_epi32(rows[2 * k], rows[2 * k + 1]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 16; k += 4) {
    b[k] = _mm512_unpacklo_epi64(a[k], a[k + 2]);
    b[k + 1] = _mm512_unpackhi_epi64(a[k], a[k + 2]);
    b[k + 2] = _mm512_unpacklo_epi64(a[k + 1], a[k + 3]);
    b[k + 3] = _mm512_unpackhi_epi64(a[k + 1], a[k + 3]);
  }
  // b[k + c]: columns c, 4 + c, 8 + c, 12 + c of rows k to k + 3, a quarter of the vector each.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i even = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x88),
                  even_below = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x88),
                  odd = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xdd),
                  odd_below = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xdd);
    rows[c] = _mm512_shuffle_i32x4(even, even_below, 0x88);
    rows[8 + c] = _mm512_shuffle_i32x4(even, even_below, 0xdd);
    rows[4 + c] = _mm512_shuffle_i32x4(odd, odd_below, 0x88);
    rows[12 + c] = _mm512_shuffle_i32x4(odd, odd_below, 0xdd);
  }
}

/// Where the weights of input 0 for outputs from `output` on begin; those of the next input, a panel further.
const float* weights_at(const float* weights, const WeightPlace& place, std::int64_t output) {
  return weights + output / place.panel * place.panel * place.inputs + output % place.panel;
}

}  // namespace

TRAINER_BF16 void round_rows(const float* x, std::int64_t rows, std::int64_t width, Bf16* to) {
  for (std::int64_t r = 0; r < rows; ++r, x += width)
    for (std::int64_t c = 0; c < width; c += kLanes, to += kLanes)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), round(load(x + c, first_lanes(width - c))));
}

TRAINER_BF16 void round_transposed_weights(const float* weights, const WeightPlace& place,
                                           const Bf16Matrix& matrix, std::int64_t panel, Bf16* to) {
  const std::int64_t first = panel * matrix.panel, pairs_deep = padded_depth(place.inputs) / 2;
  to += panel * matrix.panel_size();
  for (std::int64_t column = 0; column < matrix.panel; column += kLanes, to += 2 * kLanes) {
    const std::int64_t output = first + column;
    const __mmask16 mask = first_lanes(place.outputs - output);
    const float* const from = mask != 0 ? weights_at(weights, place, output) : nullptr;
    for (std::int64_t i = 0; i < pairs_deep; ++i) {
      const auto row = [&](std::int64_t input) {
        return from != nullptr && input < place.inputs ? from + input * place.panel : nullptr;
      };
      _mm512_storeu_si512(to + i * 2 * matrix.panel,
                          pairs(load(row(2 * i), mask), load(row(2 * i + 1), mask)));
    }
  }
}

TRAINER_BF16 void round_weights(const float* weights, const WeightPlace& place, const Bf16Matrix& matrix,
                                std::int64_t panel, Bf16* to) {
  constexpr std::int64_t kOutputs = 2 * kLanes;
  to += panel * matrix.panel_size();
  for (std::int64_t output = 0; output < place.outputs; output += kOutputs) {
    const float* const from = weights_at(weights, place, output);
    for (std::int64_t column = 0; column < matrix.panel; column += kLanes) {
      __m512i block[kLanes];
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const std::int64_t input = panel * matrix.panel + column + lane;
        block[lane] = input < place.inputs
                          ? adjacent_pairs(from + input * place.panel, place.outputs - output)
                          : _mm512_setzero_si512();
      }
      transpose(block);
      const std::int64_t count = std::min(kOutputs, padded_depth(place.outputs) - output) / 2;
      for (std::int64_t pair = 0; pair < count; ++pair)
        _mm512_storeu_si512(to + ((output / 2 + pair) * matrix.panel + column) * 2, block[pair]);
    }
  }
}

TRAINER_BF16 void pair_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t width,
                            std::int64_t padded, float* to) {
  for (std::int64_t c = 0; c < padded; c += kLanes) {
    const __mmask16 read = first_lanes(width - c), written = first_lanes(padded - c);
    for (std::int64_t r = 0; r < rows; r += 2) {
      const float* const upper = read != 0 ? from + r * stride + c : nullptr;
      const float* const lower = read != 0 && r + 1 < rows ? upper + stride : nullptr;
      _mm512_mask_storeu_epi32(to + r / 2 * padded + c, written, pairs(load(upper, read), load(lower, read)));
    }
  }
}

#else

namespace {

[[noreturn]] void no_bf16() {
  fail(ErrorKind::internal, "numbers in bf16 were asked for where there are none");
}

}  // namespace

void round_rows(const float*, std::int64_t, std::int64_t, Bf16*) { no_bf16(); }
void round_transposed_weights(const float*, const WeightPlace&, const Bf16Matrix&, std::int64_t, Bf16*) {
  no_bf16();
}
void round_weights(const float*, const WeightPlace&, const Bf16Matrix&, std::int64_t, Bf16*) { no_bf16(); }
void pair_rows(const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, float*) { no_bf16(); }

#endif

}  // namespace trainer::nn
