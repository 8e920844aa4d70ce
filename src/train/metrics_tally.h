#pragma once

// What an evaluation accumulates for metrics. Private to this room.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "metrics_ranking.h"
#include "trainer/data/scaling.h"
#include "trainer/train/metrics.h"

namespace trainer::train {

/// What is asked for, and of which rows.
struct Asked {
  RowFacts facts;
  Measures measures;
};

/// Of this rank's rows of a set: whole numbers, which add up in any order, and sums of squares and the like
/// in double, one record for each chunk, which are folded in the fixed tree.
class Tally {
 public:
  /// `asked` and `targets` outlive this object. `rows`: of this rank, within the set. `threshold`: of the
  /// pass. `targets`: the scaling of the targets.
  Tally(const Asked& asked, Range rows, int threads, float threshold, const data::Scaling& targets);

  /// Doubles of a record.
  static std::int64_t width_of(const Asked& asked);

  /// Where a thread's outputs go, as InferencePass::run gives them: [InferencePass::kChunk, outputs]; null:
  /// not needed.
  float* outputs(int thread) { return memory_of(threads_[static_cast<std::size_t>(thread)].outputs); }
  float* raw(int thread) { return memory_of(threads_[static_cast<std::size_t>(thread)].raw); }
  /// Takes in a chunk, whose outputs are there, and writes its record. Thread-safe for different threads.
  /// Throws Error(data) for a class that there is none of.
  void add(const nn::RowSource& source, Range rows, int thread, double* record);
  /// left <- left (+) right, for records of so many rows.
  static void merge(const Asked& asked, std::int64_t left_rows, std::int64_t right_rows, double* left,
                    const double* right);
  /// **Collective.** Once, after the last chunk: the whole numbers of all ranks' rows, which stand in this
  /// object.
  std::span<const std::int64_t> finish_counts(const comm::Communicator& world, const Team& team);
  /// What the sums over all rows say; `measured.rows` is set. `targets`: the scaling of the targets.
  static void read(const Asked& asked, std::span<const std::int64_t> counts, const double* record,
                   const data::Scaling& targets, Measured& measured);

 private:
  struct Thread {
    Buffer<float> outputs, raw, values;  // [kChunk, outputs], where they are needed
    std::vector<std::int32_t> truth;
  };
  static float* memory_of(Buffer<float>& buffer) { return buffer.size() > 0 ? buffer.data() : nullptr; }
  void add_classes(Range rows, const Thread& mine);

  const Asked& asked_;
  Range rows_;
  float threshold_;
  const data::Scaling& targets_;
  std::vector<Thread> threads_;
  std::vector<std::int64_t> counts_;
  std::optional<Ranking> ranking_;
};

}  // namespace trainer::train
