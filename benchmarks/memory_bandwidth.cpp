#include "memory_bandwidth.h"

#include <algorithm>
#include <cstdint>

#include "trainer/core/buffer.h"
#include "trainer/core/clock.h"
#include "trainer/core/error.h"
#include "trainer/core/team.h"

namespace trainer::benchmarks {
namespace {

constexpr std::int64_t kFloatsOfThread = std::int64_t{1} << 24;  // 64 MiB an array, 192 MiB for all three

void triad(float* a, const float* b, const float* c) {
  for (std::int64_t i = 0; i < kFloatsOfThread; ++i) a[i] = b[i] + 3.0f * c[i];
}

}  // namespace

double memory_bandwidth(int threads, double seconds) {
  const std::int64_t all = kFloatsOfThread * threads;
  Buffer<float> a(all), b(all), c(all);
  const Team team(threads);
  // Which thread takes which stretch is not fixed: on a machine of several memory nodes bind a rank to one.
  const auto over_stretches = [&](const auto& work) {
    team.run(threads, [&](std::int64_t stretch, int) { work(stretch * kFloatsOfThread); });
  };
  over_stretches([&](std::int64_t first) {
    for (std::int64_t i = first; i < first + kFloatsOfThread; ++i) {
      a.data()[i] = 0;
      b.data()[i] = 2;
      c.data()[i] = 1;
    }
  });
  const double bytes = 3.0 * sizeof(float) * static_cast<double>(all);
  double best = 0;
  const Stopwatch total;
  do {
    const Stopwatch watch;
    over_stretches([&](std::int64_t first) { triad(a.data() + first, b.data() + first, c.data() + first); });
    best = std::max(best, bytes / watch.seconds());
  } while (total.seconds() < seconds);
  require(a.data()[all - 1] == 5, ErrorKind::internal, "the triad computed ", a.data()[all - 1], ", not 5");
  return best;
}

}  // namespace trainer::benchmarks
