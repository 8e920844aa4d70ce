#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace trainer::study {

/// What the exchange of a net depends on.
struct NetSize {
  std::int64_t floats = 0;  ///< parameters
  std::int64_t layers = 0;  ///< with parameters
  std::int64_t batch_norms = 0;
};

/// What a step asks of a rank.
struct StepWork {
  std::int64_t ranks = 1;
  double rows = 0;      ///< of the rank that has most
  double messages = 0;  ///< that a rank sends, mean over the ranks
  double bytes = 0;     ///< the same
};

/// Of a batch of `batch` rows in `shards` shards on `ranks` ranks, as the direct exchange does it: a rank
/// sends each of its subtree sums of each layer to the owner of each slice, its slice of the parameters to
/// all, and a small record to all for the loss, the flags, the update and each batch norm (twice).
StepWork work_of(const NetSize& net, std::int64_t batch, std::int64_t shards, std::int64_t ranks);

/// What a step was measured to cost.
struct StepCost {
  StepWork work;
  double busy = 0;         ///< seconds of a step without `communicate`
  double communicate = 0;  ///< seconds
};

/// Seconds that rows take.
struct ComputeModel {
  double fixed = 0, per_row = 0;
  double seconds(double rows) const { return fixed + per_row * rows; }
};

/// Seconds of a step: fixed + per_row * rows + latency * messages + per_byte * bytes; none is negative. The
/// last two are the alpha and the beta of the usual model of messages (Hockney 1994). A rank that is alone
/// has the memory of its host to itself, so its rows have a model of their own.
struct ScalingModel {
  ComputeModel alone, together;
  double latency = 0, per_byte = 0;
  bool tells_messages_from_bytes = false;  ///< else all of the exchange is put down to its bytes
  double deviation = 0;  ///< the largest of the measured steps from the model, as a share of the step

  double busy(const StepWork& work) const { return (work.ranks == 1 ? alone : together).seconds(work.rows); }
  double communicate(const StepWork& work) const { return latency * work.messages + per_byte * work.bytes; }
  double seconds(const StepWork& work) const { return busy(work) + communicate(work); }
};

/// Least squares of relative errors, none of the numbers below zero. Nothing when no cost is of two ranks or
/// more.
std::optional<ScalingModel> fit_scaling(std::span<const StepCost> costs);

}  // namespace trainer::study
