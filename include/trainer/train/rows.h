#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/data_set.h"
#include "trainer/data/order.h"
#include "trainer/data/scaling.h"
#include "trainer/nn/pass.h"

namespace trainer::train {

/// How values are scaled for the network: inputs, and the targets of a regression.
struct Scalings {
  data::Scaling inputs = data::Scaling::none(0);
  data::Scaling targets = data::Scaling::none(0);  ///< no columns when targets are classes
};

/// A list of rows of a data set as the network takes them: gathered and scaled.
class ListedRows final : public nn::RowSource {
 public:
  /// `weights`: of all rows of the data set; empty: the rows have none.
  ListedRows(const data::DataSet& data, const Scalings& scalings, std::vector<std::int64_t> rows,
             std::span<const float> weights = {})
      : data_(data), scalings_(scalings), rows_(std::move(rows)), weights_(weights) {}
  void inputs(Range rows, float* out) const override;
  void classes(Range rows, std::int32_t* out) const override;
  void values(Range rows, float* out) const override;
  std::int64_t sample(std::int64_t row) const override { return rows_[static_cast<std::size_t>(row)]; }
  bool weighted() const override { return !weights_.empty(); }
  void weights(Range rows, float* out) const override;

  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }
  /// Replaces the list: rows [place, place + count) of an epoch's order.
  void take(const data::EpochOrder& order, std::int64_t epoch, std::int64_t place, std::int64_t count);

 private:
  std::span<const std::int64_t> list(Range rows) const {
    return std::span<const std::int64_t>(rows_).subspan(static_cast<std::size_t>(rows.begin),
                                                        static_cast<std::size_t>(rows.size()));
  }
  const data::DataSet& data_;
  const Scalings& scalings_;
  std::vector<std::int64_t> rows_;
  std::span<const float> weights_;
};

}  // namespace trainer::train
