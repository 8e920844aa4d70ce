#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace trainer::nn {

/// A number to nearest bf16, ties to even, by whole numbers: 8 bits of the significand stay. Not for nan.
inline float rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
}

}  // namespace trainer::nn
