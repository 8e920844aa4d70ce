#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "describe_inputs.h"
#include "trainer/data/order.h"
#include "trainer/data/row_set.h"

namespace trainer::data {

/// The targets of some rows, in memory.
struct TargetSample {
  RowSet rows;
  TargetKind kind = TargetKind::classes;
  std::int64_t columns = 0;           ///< of values
  std::vector<std::int32_t> classes;  ///< by place in rows
  std::vector<float> values;          ///< [rows, columns]
};

/// Targets of at most about `most_rows` rows: of whole blocks spread over the data, or of the beginnings of
/// blocks where they are large. Throws what reading meets, and Error(data) for labels that are none.
TargetSample sample_targets(const ReadableRows& rows, std::int64_t most_rows);

/// How well an order of the sample's rows mixes their targets: the variance of the mean of a batch, over the
/// batches of epoch 0, times the rows of a batch over the variance of a row, both summed over the columns (of
/// classes: an indicator each). 1 for a full permutation; up to the rows of a batch where batches are of one
/// kind. Nothing where there are no two whole batches, or all targets are equal.
std::optional<double> shuffle_spread(const TargetSample& sample, const EpochOrder& order, std::int64_t batch);

}  // namespace trainer::data
