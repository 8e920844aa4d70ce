#include "trainer/train/rows.h"

#include <algorithm>

namespace trainer::train {

void ListedRows::inputs(Range rows, float* out) const {
  use_.augmentation->inputs(source(), list(rows), out);
}

void ListedRows::classes(Range rows, std::int32_t* out) const { data_.gather_classes(list(rows), out); }

void ListedRows::values(Range rows, float* out) const {
  own_targets(list(rows), out);
  if (!use_.augmentation->mixes()) return;
  static thread_local std::vector<float> partner;  // see the header
  const std::int64_t columns = target_columns();
  partner.resize(static_cast<std::size_t>(columns));
  for (const std::int64_t row : list(rows)) {
    const data::Mix mix = use_.augmentation->mix(source(), row);
    own_targets({&mix.partner, 1}, partner.data());
    mix.apply(partner.data(), columns, out);
    out += columns;
  }
}

std::int64_t ListedRows::target_columns() const {
  const data::DataFacts& facts = data_.facts();
  if (use_.reconstructs) return facts.features;
  return facts.kind == data::TargetKind::classes ? use_.outputs : facts.targets;
}

void ListedRows::own_targets(std::span<const std::int64_t> rows, float* out) const {
  if (use_.reconstructs) return use_.augmentation->clean_inputs(source(), rows, out);
  if (data_.facts().kind == data::TargetKind::classes) {
    for (const std::int64_t row : rows) {
      std::int32_t label = 0;
      data_.gather_classes({&row, 1}, &label);
      std::fill_n(out, use_.outputs, 0.0f);
      if (use_.outputs == 1)
        *out = static_cast<float>(label);
      else
        out[label] = 1.0f;
      out += use_.outputs;
    }
    return;
  }
  data_.gather_values(rows, out);
  const bool logs = scalings_.targets.mode() == data::Scaling::Mode::log;
  const auto mean = scalings_.targets.float_mean(), deviation = scalings_.targets.float_deviation();
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < mean.size(); ++c, ++out) {
      if (logs) *out = data::log_of_target(data_, rows[r], static_cast<std::int64_t>(c), *out);
      *out = (*out - mean[c]) / deviation[c];
    }
}

void ListedRows::weights(Range rows, float* out) const {
  for (const std::int64_t row : list(rows)) *out++ = use_.weights[static_cast<std::size_t>(row)];
}

void ListedRows::take(const data::EpochOrder& order, std::int64_t epoch, std::int64_t place,
                      std::int64_t count) {
  rows_.resize(static_cast<std::size_t>(count));
  order.rows_at(epoch, place, rows_);
  partners_ = &order.rows();
  epoch_ = epoch;
}

}  // namespace trainer::train
