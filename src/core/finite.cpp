#include "trainer/core/finite.h"

#include <cstring>

#include "trainer/core/vectorise.h"

namespace trainer {
namespace {

/// Exponent bits all set: infinite or NaN. Looked at as integers, for what the compiler may assume of floats
/// is none of this function's business.
TRAINER_VECTORISED std::uint32_t count_not_finite(const float* values, std::int64_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000U;
  std::uint32_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof(bits));
    found += (bits & kExponent) == kExponent ? 1U : 0U;
  }
  return found;
}

}  // namespace

bool all_finite(const float* values, std::int64_t count) {
  constexpr std::int64_t kPiece = 1 << 20;  // far from where the count would wrap around
  for (std::int64_t begin = 0; begin < count; begin += kPiece)
    if (count_not_finite(values + begin, count - begin < kPiece ? count - begin : kPiece) > 0) return false;
  return true;
}

}  // namespace trainer
