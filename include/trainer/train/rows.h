#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/augmentation.h"
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

/// What a network makes of rows.
struct RowUse {
  bool reconstructs = false;  ///< the targets are the inputs, scaled: an autoencoder
  const data::Augmentation* augmentation = &data::Augmentation::none();  ///< of rows that are trained on
  std::int64_t outputs = 0;             ///< of the network; needed when the augmentation mixes classes
  std::span<const float> weights = {};  ///< of all rows of the data set; empty: the rows have none
};

/// A list of rows of a data set as the network takes them: gathered, augmented and scaled. Values of classes
/// (for an augmentation that mixes) are one-hot rows, with one output the 0/1 label.
/// inputs() and values() know nothing of each other: for a denoising autoencoder both gather and warp a row,
/// and with mixup its partner too, and both draw the same shares. A row of both is not kept in between: they
/// are called for any rows in any order, and memory for them would cost more than it is worth here.
/// What mixing targets needs beside `out` is a buffer of the calling thread, kept until the thread ends: a
/// RowSource is not told a number of the thread by which it could hold one.
class ListedRows final : public nn::RowSource {
 public:
  ListedRows(const data::DataSet& data, const Scalings& scalings, std::vector<std::int64_t> rows,
             RowUse use = {})
      : data_(data), scalings_(scalings), rows_(std::move(rows)), use_(use) {}
  void inputs(Range rows, float* out) const override;
  void classes(Range rows, std::int32_t* out) const override;
  void values(Range rows, float* out) const override;
  std::int64_t sample(std::int64_t row) const override { return rows_[static_cast<std::size_t>(row)]; }
  bool weighted() const override { return !use_.weights.empty(); }
  void weights(Range rows, float* out) const override;

  const data::DataSet& data() const { return data_; }
  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }
  /// Replaces the list: rows [place, place + count) of an epoch's order, which must outlive their use. The
  /// epoch is that of the augmentation.
  void take(const data::EpochOrder& order, std::int64_t epoch, std::int64_t place, std::int64_t count);

 private:
  std::span<const std::int64_t> list(Range rows) const {
    return std::span<const std::int64_t>(rows_).subspan(static_cast<std::size_t>(rows.begin),
                                                        static_cast<std::size_t>(rows.size()));
  }
  data::AugmentationSource source() const { return {data_, scalings_.inputs, *partners_, epoch_}; }
  std::int64_t target_columns() const;
  /// out: [rows, target_columns()], before they are mixed.
  void own_targets(std::span<const std::int64_t> rows, float* out) const;

  const data::DataSet& data_;
  const Scalings& scalings_;
  std::vector<std::int64_t> rows_;
  RowUse use_;
  const data::RowSet* partners_ = &data::RowSet::none();  ///< all training rows
  std::int64_t epoch_ = 0;
};

}  // namespace trainer::train
