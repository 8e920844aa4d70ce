#include "trainer/data/scaling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "scale_row.h"
#include "share_over.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/moments.h"
#include "trainer/core/tree.h"
#include "trainer/data/data_set.h"
#include "trainer/data/encoding.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kChunkRows = 256;

const std::vector<std::string>& mode_names() {
  static const std::vector<std::string> names{"none", "unit", "feature", "global", "log"};
  return names;
}

std::optional<Scaling::Mode> mode_of(const std::string& name) {
  const auto& names = mode_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Scaling::Mode>(found - names.begin());
}

/// What is known of some rows: for each column the number of values that it has, their mean and the sum of
/// squared distances from it.
struct Moments {
  explicit Moments(std::size_t columns) : count(columns), mean(columns), m2(columns) {}
  std::vector<double> count, mean, m2;
};

Moments merge(Moments left, const Moments& right) {
  for (std::size_t j = 0; j < left.mean.size(); ++j) {
    if (right.count[j] == 0) continue;
    if (left.count[j] == 0) {
      left.count[j] = right.count[j];
      left.mean[j] = right.mean[j];
      left.m2[j] = right.m2[j];
      continue;
    }
    merge_moments(1, left.count[j], &left.mean[j], &left.m2[j], right.count[j], &right.mean[j], &right.m2[j]);
    left.count[j] += right.count[j];
  }
  return left;
}

/// raw: [rows, columns] f32; NaN is no value. Two passes: a constant column has exactly its value as mean,
/// and m2 0.
Moments moments_of(const float* raw, std::int64_t rows, std::int64_t columns) {
  const auto size = static_cast<std::size_t>(columns);
  Moments out(size);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const auto value = static_cast<double>(raw[i * columns + j]);
      const bool is_there = value == value;
      out.count[j] += is_there ? 1.0 : 0.0;
      out.mean[j] += is_there ? value : 0.0;
    }
  }
  for (std::size_t j = 0; j < size; ++j) out.mean[j] /= std::max(1.0, out.count[j]);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const double distance = static_cast<double>(raw[i * columns + j]) - out.mean[j];
      out.m2[j] += distance == distance ? distance * distance : 0.0;
    }
  }
  return out;
}

using Gather = std::function<void(std::span<const std::int64_t>, float*)>;

std::string bytes_of(const Moments& moments) {
  std::string bytes;
  for (const std::vector<double>* list : {&moments.count, &moments.mean, &moments.m2})
    bytes.append(reinterpret_cast<const char*>(list->data()), list->size() * sizeof(double));
  return bytes;
}

Moments moments_in(const std::string& bytes, std::int64_t columns) {
  Moments moments(static_cast<std::size_t>(columns));
  const char* from = bytes.data();
  for (std::vector<double>* list : {&moments.count, &moments.mean, &moments.m2}) {
    std::memcpy(list->data(), from, list->size() * sizeof(double));
    from += list->size() * sizeof(double);
  }
  return moments;
}

bool never(Range) { return false; }

/// **Collective**. The fixed tree over chunks is cut into subtrees, which the ranks share.
Moments moments_of_rows(const comm::Communicator& world, const RowSet& rows, std::int64_t columns,
                        const Gather& gather) {
  const std::int64_t total = rows.size();
  require(total > 0, ErrorKind::internal, "a scaling of no rows was asked for");
  std::vector<float> raw;
  std::vector<std::int64_t> list;
  const auto chunk = [&](Range node) -> std::optional<Moments> {
    const std::int64_t begin = node.begin * kChunkRows;
    const std::int64_t count = std::min(kChunkRows, total - begin);
    raw.resize(static_cast<std::size_t>(count * columns));
    list.resize(static_cast<std::size_t>(count));
    rows.rows_at(begin, list);
    gather(list, raw.data());
    return moments_of(raw.data(), count, columns);
  };
  const std::int64_t chunks = (total + kChunkRows - 1) / kChunkRows;
  constexpr std::int64_t kMostSubtrees = 1024;  // all ranks hold the moments of all
  std::int64_t subtree = 64;                    // a power of two, so that each is a node of the tree
  while (chunks / subtree > kMostSubtrees) subtree *= 2;
  const std::int64_t subtrees = (chunks + subtree - 1) / subtree;
  const std::vector<std::string> parts = share_over(world)(subtrees, [&](std::int64_t i) {
    const Range node{i * subtree, std::min(chunks, (i + 1) * subtree)};
    return bytes_of(*fold_tree<Moments>(node, never, chunk, merge));
  });
  const auto part = [&](Range node) -> std::optional<Moments> {
    return moments_in(parts[static_cast<std::size_t>(node.begin)], columns);
  };
  return *fold_tree<Moments>({0, subtrees}, never, part, merge);
}

/// All columns together, as if they were one.
Moments over_columns(const Moments& moments) {
  const auto column = [&](Range node) -> std::optional<Moments> {
    const auto j = static_cast<std::size_t>(node.begin);
    Moments one(1);
    one.count[0] = moments.count[j];
    one.mean[0] = moments.mean[j];
    one.m2[0] = moments.m2[j];
    return one;
  };
  const Range columns{0, static_cast<std::int64_t>(moments.mean.size())};
  return *fold_tree<Moments>(columns, never, column, merge);
}

/// Population deviation; 1 where the column is constant, or so nearly that a float division by it would
/// overflow.
double deviation_of(double m2, double count) {
  const double deviation = std::sqrt(m2 / count);
  return deviation < static_cast<double>(std::numeric_limits<float>::min()) ? 1.0 : deviation;
}

Scaling scaling_of(const Moments& moments, Scaling::Mode mode, bool fills_missing) {
  const std::size_t size = moments.mean.size();
  for (std::size_t j = 0; j < size; ++j)
    require(moments.count[j] > 0, ErrorKind::data, "--missing mean: input column ", j,
            " (from 0) has no value in any training row; leave it out of the inputs");
  if (mode == Scaling::Mode::global) {
    const Moments all = over_columns(moments);
    return {"global", std::vector<double>(size, all.mean[0]),
            std::vector<double>(size, deviation_of(all.m2[0], all.count[0])), fills_missing};
  }
  std::vector<double> deviation(size);
  for (std::size_t j = 0; j < size; ++j) deviation[j] = deviation_of(moments.m2[j], moments.count[j]);
  return {"feature", moments.mean, std::move(deviation), fills_missing};
}

Scaling measured(const comm::Communicator& world, Scaling::Mode mode, const RowSet& rows,
                 std::int64_t columns, bool fills_missing, const Gather& gather) {
  return scaling_of(moments_of_rows(world, rows, columns, gather), mode, fills_missing);
}

[[noreturn]] void fail_unknown(const std::string& option, const std::string& value,
                               const std::vector<std::string>& names) {
  const std::string near = nearest_name(value, names);
  std::string expected;
  for (const std::string& name : names) expected += (expected.empty() ? "" : ", ") + name;
  fail(ErrorKind::usage, option, ": '", value, "' is not known; expected one of ", expected,
       near.empty() ? "" : "; did you mean " + near + "?");
}

bool has_logarithm(float v) { return v > 0 && std::isfinite(v); }

constexpr std::int64_t kNoRow = std::numeric_limits<std::int64_t>::max();

/// What has no logarithm becomes NaN; `bad`: the first row that has such a target.
void gather_logarithms(const DataSet& data, std::span<const std::int64_t> rows, float* out,
                       std::int64_t& bad) {
  data.gather_values(rows, out);
  for (const std::int64_t row : rows)
    for (std::int64_t j = 0; j < data.facts().targets; ++j, ++out) {
      if (!has_logarithm(*out)) bad = std::min(bad, row);
      *out =
          has_logarithm(*out) ? log_of_target(data, row, j, *out) : std::numeric_limits<float>::quiet_NaN();
    }
}

/// **Collective**: all ranks say the same of the first bad row of any of them.
void require_no_bad_target(const comm::Communicator& world, const DataSet& data, std::int64_t bad) {
  const std::vector<std::int64_t> all = world.all_gather(bad);
  const std::int64_t row = *std::ranges::min_element(all);
  if (row == kNoRow) return;
  std::vector<float> values(static_cast<std::size_t>(data.facts().targets));
  data.gather_values({&row, 1}, values.data());
  for (std::size_t j = 0; j < values.size(); ++j)
    (void)log_of_target(data, row, static_cast<std::int64_t>(j), values[j]);
}

}  // namespace

float log_of_target(const DataSet& data, std::int64_t row, std::int64_t column, float v) {
  if (has_logarithm(v)) return static_cast<float>(std::log(static_cast<double>(v)));
  const DataFacts& facts = data.facts();
  const std::vector<std::string> names = target_names(facts.encoding, facts.targets);
  fail(ErrorKind::data, "--scale-targets log: ", data.place_of(row), " has the target ", v,
       names.empty() ? "" : text(" (", names[static_cast<std::size_t>(column)], ")"),
       facts.targets > 1 ? text(" in column ", column, " (from 0)") : "",
       "; logarithms need values above 0: leave such rows out, or take --scale-targets feature");
}

void require_positive_targets(const comm::Communicator& world, const DataSet& data, const RowSet& rows) {
  if (!rows.empty())  // looks at every target
    (void)target_scaling(world, data, rows, "log");
}

Scaling Scaling::none(std::int64_t features) {
  const auto size = static_cast<std::size_t>(features);
  return {"none", std::vector<double>(size, 0.0), std::vector<double>(size, 1.0)};
}

Scaling Scaling::unit(std::int64_t features) {
  const auto size = static_cast<std::size_t>(features);
  return {"unit", std::vector<double>(size, 0.0), std::vector<double>(size, 255.0)};
}

Scaling::Scaling(const std::string& mode_name, std::vector<double> mean, std::vector<double> deviation,
                 bool fills_missing)
    : mode_(Mode::none),
      fills_missing_(fills_missing),
      mean_(std::move(mean)),
      deviation_(std::move(deviation)) {
  const std::optional<Mode> mode = mode_of(mode_name);
  require(mode.has_value(), ErrorKind::data, "the scaling '", mode_name, "' is not known");
  mode_ = *mode;
  require(mean_.size() == deviation_.size(), ErrorKind::data, "the scaling has ", mean_.size(), " means but ",
          deviation_.size(), " deviations");
  float_mean_.assign(mean_.begin(), mean_.end());
  float_deviation_.assign(deviation_.begin(), deviation_.end());
  for (std::size_t j = 0; j < mean_.size(); ++j) {
    require(std::isfinite(float_mean_[j]) && std::isfinite(float_deviation_[j]) && float_deviation_[j] > 0,
            ErrorKind::data, "the scaling of column ", j, " has mean ", mean_[j], " and deviation ",
            deviation_[j], "; both must be finite and the deviation above 0");
    const bool fits = !is_uniform() || (mean_[j] == mean_[0] && deviation_[j] == deviation_[0]);
    const bool fits_name = (mode_ != Mode::none || (mean_[j] == 0 && deviation_[j] == 1)) &&
                           (mode_ != Mode::unit || (mean_[j] == 0 && deviation_[j] == 255));
    require(fits && fits_name, ErrorKind::data, "the scaling is called '", mode_name, "', but column ", j,
            " has mean ", mean_[j], " and deviation ", deviation_[j]);
  }
}

std::string Scaling::mode_name() const { return mode_names()[static_cast<std::size_t>(mode_)]; }

void Scaling::apply(const float* raw, std::int64_t rows, float* scaled) const {
  for (std::int64_t i = 0; i < rows; ++i) scale_row(raw + i * features(), *this, scaled + i * features());
}

void Scaling::invert(const float* scaled, std::int64_t rows, float* raw) const {
  const std::int64_t columns = features();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      float& value = raw[i * columns + j];
      value = scaled[i * columns + j] * float_deviation_[j] + float_mean_[j];
      if (mode_ == Mode::log) value = static_cast<float>(std::exp(static_cast<double>(value)));
    }
  }
}

Scaling input_scaling(const comm::Communicator& world, const DataSet& data, const RowSet& rows,
                      const std::string& option, bool fills_missing) {
  const DataFacts& facts = data.facts();
  const bool bytes = facts.element_type == "uint8";
  const std::string name = !option.empty() ? option : bytes ? "unit" : "feature";
  const std::optional<Scaling::Mode> mode = mode_of(name);
  if (!mode || *mode == Scaling::Mode::log)
    fail_unknown("--scale", name, {"none", "unit", "feature", "global"});
  require(*mode != Scaling::Mode::unit || bytes, ErrorKind::usage,
          "--scale: unit divides bytes by 255, but the inputs are ", facts.element_type,
          "; expected feature, global or none");
  require(!fills_missing || *mode == Scaling::Mode::feature || *mode == Scaling::Mode::global,
          ErrorKind::usage, "--missing mean needs the means of --scale feature or global, not ", name);
  if (*mode == Scaling::Mode::none) return Scaling::none(facts.features);
  if (*mode == Scaling::Mode::unit) return Scaling::unit(facts.features);
  return measured(world, *mode, rows, facts.features, fills_missing,
                  [&](auto chunk, float* raw) { data.gather(chunk, raw); });
}

Scaling target_scaling(const comm::Communicator& world, const DataSet& data, const RowSet& rows,
                       const std::string& option) {
  const DataFacts& facts = data.facts();
  if (facts.kind != TargetKind::values) {
    require(option.empty() || option == "none", ErrorKind::usage, "--scale-targets: '", option,
            "' needs a regression, but the targets are ",
            facts.kind == TargetKind::classes ? "classes" : "the inputs", "; expected none");
    return Scaling::none(0);
  }
  if (option == "none") return Scaling::none(facts.targets);
  if (option == "log") {
    std::int64_t bad = kNoRow;
    const Moments moments = moments_of_rows(world, rows, facts.targets, [&](auto chunk, float* raw) {
      gather_logarithms(data, chunk, raw, bad);
    });
    require_no_bad_target(world, data, bad);
    const Scaling scaling = scaling_of(moments, Scaling::Mode::feature, false);
    return {"log", scaling.mean(), scaling.deviation()};
  }
  if (!option.empty() && option != "feature")
    fail_unknown("--scale-targets", option, {"feature", "log", "none"});
  return measured(world, Scaling::Mode::feature, rows, facts.targets, false,
                  [&](auto chunk, float* raw) { data.gather_values(chunk, raw); });
}

}  // namespace trainer::data
