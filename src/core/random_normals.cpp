#include "trainer/core/random_normals.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>

#include "trainer/core/error.h"
#include "trainer/core/vectorise.h"

namespace trainer {
namespace {

/// Words [2 pairs] become numbers [2 pairs].
TRAINER_VECTORISED void box_muller(const std::uint32_t* words, float* out, std::int64_t pairs) {
  constexpr std::int32_t kOne = 0x3f800000, kRootHalf = 0x3f3504f3;  // the bits of 1 and of sqrt(1/2)
  constexpr auto kLn2 = static_cast<float>(std::numbers::ln2);
  constexpr auto kAngle = static_cast<float>(std::numbers::pi / 2 * 0x1p-30);
  for (std::int64_t j = 0; j < pairs; ++j) {
    // ln(u 2^31) = e ln 2 + ln m with m in [sqrt(1/2), sqrt 2); ln m is 2 artanh((m - 1) / (m + 1)).
    const auto scaled = static_cast<float>(static_cast<std::int32_t>(words[2 * j] >> 1 | 1));
    const std::int32_t bits = std::bit_cast<std::int32_t>(scaled) + (kOne - kRootHalf);
    const auto exponent = static_cast<float>((bits >> 23) - 127 - 31);
    const auto m = std::bit_cast<float>((bits & 0x007fffff) + kRootHalf);
    const float t = (m - 1.0f) / (m + 1.0f), q = t * t;
    const float log_m =
        2.0f * t * (1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9 + q / 11)))));
    const float radius = std::sqrt(-2.0f * (exponent * kLn2 + log_m));
    // A quarter of the circle and an angle within +-pi / 4.
    const std::uint32_t quarter = words[2 * j + 1] >> 30;
    const auto within = static_cast<std::int32_t>(words[2 * j + 1] & 0x3fffffff) - (1 << 29);
    const float a = static_cast<float>(within) * kAngle, s = a * a;
    const float sine = a * (1.0f + s * (-1.0f / 6 + s * (1.0f / 120 + s * (-1.0f / 5040 + s / 362880))));
    const float cosine =
        1.0f + s * (-1.0f / 2 + s * (1.0f / 24 + s * (-1.0f / 720 + s * (1.0f / 40320 - s / 3628800))));
    const float x = (quarter & 1) != 0 ? sine : cosine, y = (quarter & 1) != 0 ? cosine : sine;
    out[2 * j] = radius * (((quarter + 1) & 2) != 0 ? -x : x);
    out[2 * j + 1] = radius * ((quarter & 2) != 0 ? -y : y);
  }
}

}  // namespace

void random_normals(RandomKey key, std::uint64_t index, float* out, std::int64_t count) {
  constexpr std::int64_t kMost = 1024;
  std::array<std::uint32_t, kMost> words;
  std::array<float, kMost> numbers;
  // A stream is read from its start: callers take a block of it at a time.
  require(count >= 0 && count <= kMost, ErrorKind::internal, count, " random numbers were asked for at once");
  const std::int64_t pairs = (count + 1) / 2;
  random_words(key, index, words.data(), 2 * pairs);
  box_muller(words.data(), numbers.data(), pairs);
  std::copy_n(numbers.begin(), count, out);
}

}  // namespace trainer
