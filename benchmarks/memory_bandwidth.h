#pragma once

namespace trainer::benchmarks {

/// Bytes a second of a[i] = b[i] + s * c[i] over arrays far larger than the caches, by `threads` threads of
/// this process for about `seconds`; the best pass. Counted as STREAM's triad does (McCalpin 1995): two reads
/// and one write, not the read that fetches a line before it is written.
double memory_bandwidth(int threads, double seconds);

}  // namespace trainer::benchmarks
