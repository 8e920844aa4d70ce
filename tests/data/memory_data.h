#pragma once

#include <utility>
#include <vector>

#include "trainer/data/data_set.h"
#include "trainer/data/scaling.h"

namespace trainer::data {

/// Rows in plain vectors, for tests. inputs: [rows, features]; values: [rows, targets].
class MemoryData final : public DataSet {
 public:
  MemoryData(std::int64_t features, std::vector<float> inputs, std::int64_t targets,
             std::vector<float> values, std::string type = "float32")
      : inputs_(std::move(inputs)), values_(std::move(values)) {
    facts_.rows = static_cast<std::int64_t>(inputs_.size()) / features;
    facts_.features = features;
    facts_.feature_shape = {features};
    facts_.kind = TargetKind::values;
    facts_.targets = targets;
    facts_.element_type = std::move(type);
  }
  void pretend_classes() { facts_.kind = TargetKind::classes; }
  const DataFacts& facts() const override { return facts_; }
  void gather(std::span<const std::int64_t> rows, float* out) const override {
    copy(inputs_, facts_.features, rows, out);
  }
  void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling, float* out) const override {
    std::vector<float> raw(rows.size() * static_cast<std::size_t>(facts_.features));
    gather(rows, raw.data());
    scaling.apply(raw.data(), static_cast<std::int64_t>(rows.size()), out);
  }
  void gather_classes(std::span<const std::int64_t>, std::int32_t*) const override {}
  void gather_values(std::span<const std::int64_t> rows, float* out) const override {
    copy(values_, facts_.targets, rows, out);
  }

 private:
  static void copy(const std::vector<float>& all, std::int64_t columns, std::span<const std::int64_t> rows,
                   float* out) {
    for (const std::int64_t row : rows) {
      for (std::int64_t j = 0; j < columns; ++j) *out++ = all[static_cast<std::size_t>(row * columns + j)];
    }
  }
  DataFacts facts_;
  std::vector<float> inputs_;
  std::vector<float> values_;
};

}  // namespace trainer::data
