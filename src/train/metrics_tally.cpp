#include "metrics_tally.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "trainer/core/error.h"
#include "trainer/core/moments.h"

namespace trainer::train {
namespace {

/// Where each part stands among the whole numbers.
struct Layout {
  explicit Layout(const Asked& asked) {
    const Measures& m = asked.measures;
    const std::int64_t classes = asked.facts.classes();
    const auto add = [this](std::int64_t count) {
      const Range part{total, total + count};
      total += count;
      return part;
    };
    const bool counted = m.class_counts || m.confusion || m.ranking;
    rows = add(counted ? classes : 0);
    predicted = add(counted ? classes : 0);
    hits = add(counted ? classes : 0);
    top = add(static_cast<std::int64_t>(m.top.size()));
    confusion = add(m.confusion ? classes * classes : 0);
    const std::int64_t columns = classes == 2 ? 1 : classes;
    twice_won = add(m.ranking ? columns : 0);
    nan = add(m.ranking ? columns : 0);
  }
  Range rows, predicted, hits, top, confusion, twice_won, nan;
  std::int64_t total = 0;
};

std::vector<std::int64_t> part(std::span<const std::int64_t> counts, Range range) {
  return {counts.begin() + range.begin, counts.begin() + range.end};
}

/// Past every rank: of a row that predicts nothing.
constexpr std::int64_t kNoRank = std::numeric_limits<std::int64_t>::max();

/// How many classes come before `truth` in the order of the outputs, of which `predicted` is the first.
std::int64_t rank_of(std::int32_t truth, std::int32_t predicted, const float* outputs, std::int64_t count) {
  if (predicted < 0) return kNoRank;
  if (predicted == truth) return 0;
  if (count == 1) return 1;
  const float own = outputs[truth];
  std::int64_t before = 0;
  for (std::int64_t c = 0; c < count; ++c)
    before += outputs[c] > own || (outputs[c] == own && c < truth) ? 1 : 0;
  return before;
}

/// The parts of a record of errors, [outputs] each: sum of squared errors, of absolute errors, and of the
/// targets the mean and the sum of squared distances from it.
struct ErrorRecord {
  ErrorRecord(double* record, std::int64_t outputs)
      : squares(record), absolutes(record + outputs), mean(record + 2 * outputs), m2(record + 3 * outputs) {}
  double *squares, *absolutes, *mean, *m2;
};

void add_errors(const float* outputs, const float* targets, std::int64_t rows, std::int64_t columns,
                double* record) {
  const ErrorRecord sums(record, columns);
  std::fill_n(record, 4 * columns, 0.0);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < columns; ++k) {
      const auto target = static_cast<double>(targets[r * columns + k]);
      const double error = static_cast<double>(outputs[r * columns + k]) - target;
      sums.squares[k] += error * error;
      sums.absolutes[k] += std::abs(error);
      sums.mean[k] += target;
    }
  for (std::int64_t k = 0; k < columns; ++k) sums.mean[k] /= static_cast<double>(rows);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < columns; ++k) {
      const double distance = static_cast<double>(targets[r * columns + k]) - sums.mean[k];
      sums.m2[k] += distance * distance;
    }
}

void read_errors(std::int64_t columns, const double* record, std::span<const double> deviation,
                 Measured& measured) {
  const auto rows = static_cast<double>(measured.rows);
  for (std::int64_t k = 0; k < columns; ++k) {
    const double unit = deviation.empty() ? 1.0 : deviation[static_cast<std::size_t>(k)];
    const double squares = record[k], absolutes = record[columns + k], m2 = record[3 * columns + k];
    measured.rmse.push_back(unit * std::sqrt(squares / rows));
    measured.mae.push_back(unit * (absolutes / rows));
    if (measured.rows < 2)
      measured.r2.push_back(std::numeric_limits<double>::quiet_NaN());
    else if (m2 == 0 && !std::isnan(squares))
      measured.r2.push_back(squares == 0 ? 1.0 : 0.0);
    else
      measured.r2.push_back(1 - squares / m2);
  }
}

/// Whether errors in original units are no multiples of errors of scaled targets: then they are taken in
/// these units from the start.
bool is_curved(const data::Scaling& targets) { return targets.mode() == data::Scaling::Mode::log; }

}  // namespace

Tally::Tally(const Asked& asked, Range rows, int threads, float threshold, const data::Scaling& targets)
    : asked_(asked),
      rows_(rows),
      threshold_(threshold),
      targets_(targets),
      counts_(static_cast<std::size_t>(Layout(asked).total)) {
  const auto& [facts, measures] = asked;
  const std::int64_t size = nn::InferencePass::kChunk * facts.outputs;
  const bool activated = measures.errors || (measures.ranking && facts.outputs > 1);
  for (int t = 0; t < threads; ++t)
    threads_.push_back({Buffer<float>(activated ? size : 0), Buffer<float>(counts_.empty() ? 0 : size),
                        Buffer<float>(facts.form == nn::TargetForm::values ? size : 0),
                        std::vector<std::int32_t>(nn::InferencePass::kChunk)});
  if (measures.ranking) ranking_.emplace(rows.size(), facts.classes());
}

std::int64_t Tally::width_of(const Asked& asked) {
  return asked.measures.errors ? 4 * asked.facts.outputs : 0;
}

void Tally::add(const nn::RowSource& source, Range rows, int thread, double* record) {
  Thread& mine = threads_[static_cast<std::size_t>(thread)];
  const RowFacts& facts = asked_.facts;
  const bool values = facts.form == nn::TargetForm::values;
  if (values)
    source.values(rows, mine.values.data());
  else
    source.classes(rows, mine.truth.data());
  if (asked_.measures.errors && is_curved(targets_))
    for (float* one : {mine.outputs.data(), mine.values.data()}) targets_.invert(one, rows.size(), one);
  if (asked_.measures.errors)
    add_errors(mine.outputs.data(), mine.values.data(), rows.size(), facts.outputs, record);
  if (counts_.empty()) return;
  for (std::int64_t r = 0; r < rows.size(); ++r) {
    std::int32_t& truth = mine.truth[static_cast<std::size_t>(r)];
    if (values) truth = nn::predicted_class(mine.values.data() + r * facts.outputs, facts.outputs, 0.5f);
    require(truth >= 0 && truth < facts.classes(), ErrorKind::data, "row ", source.sample(rows.begin + r),
            " is of class ", truth, ", the model knows ", facts.classes(), " classes");
  }
  add_classes(rows, mine);
}

void Tally::add_classes(Range rows, const Thread& mine) {
  const Layout at(asked_);
  const Measures& measures = asked_.measures;
  const std::int64_t columns = asked_.facts.outputs;
  const auto increment = [this](std::int64_t place) {
    std::atomic_ref(counts_[static_cast<std::size_t>(place)]).fetch_add(1, std::memory_order_relaxed);
  };
  for (std::int64_t r = 0; r < rows.size(); ++r) {
    const float* raw = mine.raw.data() + r * columns;
    const std::int32_t truth = mine.truth[static_cast<std::size_t>(r)];
    const std::int32_t predicted = nn::predicted_class(raw, columns, threshold_);
    if (!measures.top.empty()) {
      const std::int64_t rank = rank_of(truth, predicted, raw, columns);
      for (std::size_t i = 0; i < measures.top.size(); ++i)
        if (rank < measures.top[i]) increment(at.top.begin + static_cast<std::int64_t>(i));
    }
    if (ranking_)
      ranking_->put(rows.begin + r - rows_.begin, columns == 1 ? raw : mine.outputs.data() + r * columns,
                    columns, truth);
    if (at.rows.size() == 0) continue;
    increment(at.rows.begin + truth);
    if (predicted < 0) continue;
    increment(at.predicted.begin + predicted);
    if (predicted == truth) increment(at.hits.begin + truth);
    if (at.confusion.size() > 0) increment(at.confusion.begin + truth * asked_.facts.classes() + predicted);
  }
}

void Tally::merge(const Asked& asked, std::int64_t left_rows, std::int64_t right_rows, double* left,
                  const double* right) {
  if (!asked.measures.errors) return;
  const std::int64_t columns = asked.facts.outputs;
  for (std::int64_t i = 0; i < 2 * columns; ++i) left[i] += right[i];
  merge_moments(columns, static_cast<double>(left_rows), left + 2 * columns, left + 3 * columns,
                static_cast<double>(right_rows), right + 2 * columns, right + 3 * columns);
}

std::span<const std::int64_t> Tally::finish_counts(const comm::Communicator& world, const Team& team) {
  if (ranking_) {
    const Layout at(asked_);
    const auto columns = static_cast<std::size_t>(at.nan.size());
    ranking_->count(world, team, {counts_.data() + at.twice_won.begin, columns},
                    {counts_.data() + at.nan.begin, columns});
  }
  world.sum(counts_);
  return counts_;
}

void Tally::read(const Asked& asked, std::span<const std::int64_t> counts, const double* record,
                 const data::Scaling& targets, Measured& measured) {
  const Layout at(asked);
  const Measures& measures = asked.measures;
  measured.class_rows = part(counts, at.rows);
  measured.predicted = part(counts, at.predicted);
  measured.hits = part(counts, at.hits);
  measured.confusion = part(counts, at.confusion);
  for (std::size_t i = 0; i < measures.top.size(); ++i)
    measured.top[measures.top[i]] = counts[static_cast<std::size_t>(at.top.begin) + i];
  const auto twice_won = part(counts, at.twice_won), nan = part(counts, at.nan);
  for (std::size_t c = 0; c < nan.size(); ++c) {
    const std::int64_t positive = measured.class_rows[nan.size() == 1 ? 1 : c];
    const double pairs = static_cast<double>(positive) * static_cast<double>(measured.rows - positive);
    const bool known = nan[c] == 0 && pairs > 0;
    measured.auc.push_back(known ? static_cast<double>(twice_won[c]) / (2 * pairs)
                                 : std::numeric_limits<double>::quiet_NaN());
  }
  if (measures.errors)
    read_errors(asked.facts.outputs, record,
                is_curved(targets) ? std::span<const double>() : targets.deviation(), measured);
}

}  // namespace trainer::train
