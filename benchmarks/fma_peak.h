#pragma once

namespace trainer::benchmarks {

/// Multiply-adds in registers by `threads` threads of this process for about `seconds`; in floating-point
/// operations a second (a multiply-add counts as two). The widest vectors that the processor has.
double fma_peak(int threads, double seconds);

}  // namespace trainer::benchmarks
