#include "trainer/train/rows.h"

namespace trainer::train {

void ListedRows::inputs(Range rows, float* out) const {
  data_.gather_scaled(list(rows), scalings_.inputs, out);
}

void ListedRows::classes(Range rows, std::int32_t* out) const { data_.gather_classes(list(rows), out); }

void ListedRows::values(Range rows, float* out) const {
  data_.gather_values(list(rows), out);
  const auto mean = scalings_.targets.float_mean(), deviation = scalings_.targets.float_deviation();
  for (std::int64_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < mean.size(); ++c, ++out) *out = (*out - mean[c]) / deviation[c];
}

void ListedRows::weights(Range rows, float* out) const {
  for (const std::int64_t row : list(rows)) *out++ = weights_[static_cast<std::size_t>(row)];
}

void ListedRows::take(const data::EpochOrder& order, std::int64_t epoch, std::int64_t place,
                      std::int64_t count) {
  rows_.resize(static_cast<std::size_t>(count));
  order.rows_at(epoch, place, rows_);
}

}  // namespace trainer::train
