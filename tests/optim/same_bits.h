#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

/// Equal as bytes: -0 differs from 0, and a NaN equals itself.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}
