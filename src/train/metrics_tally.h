#pragma once

// What an evaluation accumulates for metrics. Private to this room.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "metrics_ranking.h"
#include "trainer/train/metrics.h"

namespace trainer::train {

/// Of this rank's rows of a set: whole numbers, which add up in any order, and sums of squares and the like
/// in double, one record for each chunk, which are folded in the fixed tree.
class Tally {
 public:
  /// `rows`: of this rank, within the set.
  Tally(const Measures& measures, Range rows, int threads);

  /// Whole numbers in all, and doubles of a record.
  static std::int64_t count_of(const Measures& measures);
  static std::int64_t width_of(const Measures& measures);

  /// Where a thread's outputs go: [InferencePass::kChunk, outputs].
  float* outputs(int thread) { return threads_[static_cast<std::size_t>(thread)].outputs.data(); }
  /// Takes in a chunk, whose outputs are there, and writes its record. Thread-safe for different threads.
  void add(const nn::RowSource& source, Range rows, int thread, double* record);
  /// left <- left (+) right, for records of so many rows.
  static void merge(const Measures& measures, std::int64_t left_rows, std::int64_t right_rows, double* left,
                    const double* right);
  /// **Collective.** Once, after the last chunk: this rank's whole numbers, to be added up over the ranks.
  std::span<std::int64_t> counts(const comm::Communicator& world, const Team& team);
  /// What the sums over all rows say; `measured.rows` is set.
  static void read(const Measures& measures, std::span<const std::int64_t> counts, const double* record,
                   Measured& measured);

 private:
  struct Thread {
    Buffer<float> outputs, values;  // [kChunk, outputs]
    std::vector<std::int32_t> truth;
  };
  void add_classes(Range rows, const Thread& mine);

  const Measures& measures_;
  Range rows_;
  std::vector<Thread> threads_;
  std::vector<std::int64_t> counts_;
  std::optional<Ranking> ranking_;
};

}  // namespace trainer::train
