#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/row_set.h"

namespace trainer::data {

class DataSet;

/// One mean and one deviation for each of `features` columns. Every mode is the same expression, two
/// correctly rounded float operations: scaled = (raw - float(mean)) / float(deviation). `unit` is mean 0,
/// deviation 255: exactly byte/255. `log`, of targets alone: mean and deviation are those of the logarithms,
/// and it is float(ln raw) that is scaled; raw must be above 0.
class Scaling {
 public:
  enum class Mode { none, unit, feature, global, log };

  static Scaling none(std::int64_t features);
  static Scaling unit(std::int64_t features);
  /// From stored values (a checkpoint). Throws Error(data) for an unknown mode name, sizes that differ,
  /// values that are not finite or not representable as float, and deviations that are not above 0.
  Scaling(const std::string& mode_name, std::vector<double> mean, std::vector<double> deviation,
          bool fills_missing = false);

  /// Whether a missing value (NaN) is taken for its column's mean: it becomes 0 (--missing mean).
  bool fills_missing() const { return fills_missing_; }
  Mode mode() const { return mode_; }
  std::string mode_name() const;  ///< "none", "unit", "feature", "global", "log"
  std::int64_t features() const { return static_cast<std::int64_t>(mean_.size()); }
  const std::vector<double>& mean() const { return mean_; }
  const std::vector<double>& deviation() const { return deviation_; }

  /// raw, scaled: [rows, features] f32, two separate pieces of memory.
  void apply(const float* raw, std::int64_t rows, float* scaled) const;
  /// The way back, scaled * deviation + mean (of `log` e to the power of that), for predictions in original
  /// units. May work in place.
  void invert(const float* scaled, std::int64_t rows, float* raw) const;

  /// The factors as used; for implementations of DataSet::gather_scaled.
  std::span<const float> float_mean() const { return float_mean_; }
  std::span<const float> float_deviation() const { return float_deviation_; }
  /// True when all columns share one mean and one deviation (every mode but `feature` and
  /// `log`).
  bool is_uniform() const { return mode_ != Mode::feature && mode_ != Mode::log; }

 private:
  Mode mode_;
  bool fills_missing_ = false;
  std::vector<double> mean_, deviation_;
  std::vector<float> float_mean_, float_deviation_;
};

/// The scaling of the inputs that `--scale` (`option`) names, from `rows` (the training rows) alone.
/// Empty: `unit` for bytes, `feature` for everything else. `feature`: mean and population deviation (divided
/// by the number of rows) per column; `global`: over all columns together. Both are merged (count, mean, M2),
/// in double, over chunks of 256 rows folded in the fixed tree, so they depend on the rows alone. A constant
/// column has deviation 1. With `fills_missing`, mean and deviation of a column are those of the values that
/// it has; then `feature` or `global` only. **Collective**: every rank reads a part of the rows, once. Throws
/// Error(usage) for an unknown name and for `unit` on anything but bytes.
Scaling input_scaling(const comm::Communicator& world, const DataSet& data, const RowSet& rows,
                      const std::string& option, bool fills_missing = false);

/// The same for the targets of a regression (`--scale-targets`): empty or `feature`, `log`, or `none`. For
/// other targets always `none` with no columns; asking for anything else there is an Error(usage).
Scaling target_scaling(const comm::Communicator& world, const DataSet& data, const RowSet& rows,
                       const std::string& option);

/// ln v, of a target. Throws Error(data) that names the row and column of `data` unless 0 < v.
float log_of_target(const DataSet& data, std::int64_t row, std::int64_t column, float v);
/// **Collective.** Throws Error(data) unless all targets of these rows are above 0, as `log` needs them.
void require_positive_targets(const comm::Communicator& world, const DataSet& data, const RowSet& rows);

}  // namespace trainer::data
