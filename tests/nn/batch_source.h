#pragma once

#include <algorithm>

#include "reference.h"
#include "trainer/core/error.h"
#include "trainer/nn/pass.h"

namespace trainer::nn {

/// Rows [first, first + rows) of a batch, as a pass sees them.
class BatchSource final : public RowSource {
 public:
  BatchSource(const reference::Batch& batch, Range rows) : batch_(batch), rows_(rows) {}
  void inputs(Range rows, float* out) const override { copy(batch_.inputs, rows, out); }
  void classes(Range rows, std::int32_t* out) const override { copy(batch_.classes, rows, out); }
  void values(Range rows, float* out) const override { copy(batch_.values, rows, out); }
  std::int64_t sample(std::int64_t row) const override {
    return batch_.samples.at(static_cast<std::size_t>(rows_.begin + row));
  }
  bool weighted() const override { return !batch_.weights.empty(); }
  void weights(Range rows, float* out) const override { copy(batch_.weights, rows, out); }

 private:
  template <class T>
  void copy(const std::vector<T>& from, Range rows, T* out) const {
    require(0 <= rows.begin && rows.begin < rows.end && rows.end <= rows_.size(), ErrorKind::internal,
            "rows [", rows.begin, ", ", rows.end, ") of ", rows_.size(), " were asked for");
    require(!from.empty(), ErrorKind::internal, "a form of targets was asked for that is not there");
    const auto width = static_cast<std::ptrdiff_t>(from.size()) / batch_.rows;
    std::copy_n(from.begin() + (rows_.begin + rows.begin) * width, rows.size() * width, out);
  }

  const reference::Batch& batch_;
  Range rows_;
};

}  // namespace trainer::nn
