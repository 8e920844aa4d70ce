#include "fma_peak.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "trainer/core/clock.h"
#include "trainer/core/team.h"

namespace trainer::benchmarks {
namespace {

constexpr int kChains = 12;          // enough independent chains to hide the latency
constexpr long kRounds = 1'000'000;  // a few milliseconds

__attribute__((target("avx512f"))) float burn_512() {
  __m512 sums[kChains];
  for (auto& sum : sums) sum = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_set1_ps(0.9999f), b = _mm512_set1_ps(0.0001f);
  for (long i = 0; i < kRounds; ++i)
    for (auto& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  float total = 0;
  for (auto& sum : sums) total += _mm512_reduce_add_ps(sum);
  return total;
}

__attribute__((target("avx2,fma"))) float burn_256() {
  __m256 sums[kChains];
  for (auto& sum : sums) sum = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_set1_ps(0.9999f), b = _mm256_set1_ps(0.0001f);
  for (long i = 0; i < kRounds; ++i)
    for (auto& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  float total = 0;
  for (auto& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

}  // namespace

double fma_peak(int threads, double seconds) {
  const bool wide = __builtin_cpu_supports("avx512f") != 0;
  const double operations = 2.0 * kChains * static_cast<double>(kRounds) * (wide ? 16 : 8);
  std::atomic<float> sink{0};
  const Team team(threads);
  double best = 0;
  const Stopwatch total;
  do {
    const Stopwatch watch;
    team.run(threads, [&](std::int64_t, int) { sink = wide ? burn_512() : burn_256(); });
    best = std::max(best, operations * threads / watch.seconds());
  } while (total.seconds() < seconds);
  return best;
}

}  // namespace trainer::benchmarks
