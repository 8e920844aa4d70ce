#include "describe_spread.h"

#include <algorithm>
#include <numeric>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kRowsAtOnce = std::int64_t{1} << 16;
constexpr std::int64_t kLeastBlocks = 256;

std::vector<Range> chosen_rows(const DataFacts& facts, std::int64_t most_rows) {
  if (facts.rows <= most_rows) return {{0, facts.rows}};
  const auto blocks = static_cast<std::int64_t>(facts.blocks.size());
  // As many whole blocks as there may be rows, but not so few that they say nothing about the others.
  const std::int64_t whole = most_rows / std::max<std::int64_t>(1, facts.rows / blocks);
  const std::int64_t count = std::min(blocks, std::max(kLeastBlocks, whole));
  const std::int64_t most = std::max<std::int64_t>(1, most_rows / count);
  std::vector<Range> runs;
  for (std::int64_t i = 0; i < count; ++i) {
    const Range block = block_rows(facts, count == 1 ? 0 : i * (blocks - 1) / (count - 1));
    runs.push_back({block.begin, std::min(block.end, block.begin + most)});
  }
  return runs;
}

void read_run(const ReadableRows& rows, Range run, TargetSample& sample) {
  for (std::int64_t row = run.begin; row < run.end; row += kRowsAtOnce) {
    const Range part{row, std::min(run.end, row + kRowsAtOnce)};
    const auto count = static_cast<std::size_t>(part.size());
    RowStore store;
    if (sample.kind == TargetKind::classes) {
      sample.classes.resize(sample.classes.size() + count);
      store.classes = sample.classes.data() + sample.classes.size() - count;
    } else {
      const std::size_t values = count * static_cast<std::size_t>(sample.columns);
      sample.values.resize(sample.values.size() + values);
      store.values = sample.values.data() + sample.values.size() - values;
    }
    rows.read(part, store);
  }
}

/// Calls use(b, places) for each whole batch of epoch 0.
template <class Use>
std::int64_t for_each_batch(const TargetSample& sample, const EpochOrder& order, std::int64_t batch,
                            const Use& use) {
  const std::int64_t batches = order.size() / batch;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batches; ++b) {
    order.rows_at(0, b * batch, rows);
    for (std::int64_t& row : rows) row = sample.rows.count_below(row);
    use(rows);
  }
  return batches;
}

struct Variances {
  double of_means = 0;
  double of_rows = 0;
};

/// By counting: sums over classes touch only those that a batch has.
Variances of_classes(const TargetSample& sample, const EpochOrder& order, std::int64_t batch) {
  const auto classes = static_cast<std::size_t>(*std::ranges::max_element(sample.classes)) + 1;
  std::vector<double> all(classes), batched(classes), in_batch(classes);
  for (const std::int32_t c : sample.classes) all[static_cast<std::size_t>(c)] += 1;
  double squares = 0;
  const std::int64_t batches = for_each_batch(sample, order, batch, [&](const auto& places) {
    for (const std::int64_t place : places)
      in_batch[static_cast<std::size_t>(sample.classes[static_cast<std::size_t>(place)])] += 1;
    for (const std::int64_t place : places) {
      const auto c = static_cast<std::size_t>(sample.classes[static_cast<std::size_t>(place)]);
      squares += in_batch[c] * in_batch[c];
      batched[c] += in_batch[c];
      in_batch[c] = 0;
    }
  });
  const auto rows = static_cast<double>(sample.classes.size());
  const auto b = static_cast<double>(batches), n = static_cast<double>(batch);
  Variances out;
  double mean_squares = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    mean_squares += batched[c] * batched[c];
    out.of_rows += all[c] * (1 - all[c] / rows) / (rows - 1);
  }
  out.of_means = (squares - mean_squares / b) / (n * n) / (b - 1);
  return out;
}

Variances of_values(const TargetSample& sample, const EpochOrder& order, std::int64_t batch) {
  const auto columns = static_cast<std::size_t>(sample.columns);
  const std::size_t rows = sample.values.size() / columns;
  std::vector<double> mean(columns), sum(columns), off(columns);
  for (std::size_t i = 0; i < sample.values.size(); ++i) mean[i % columns] += sample.values[i];
  for (double& m : mean) m /= static_cast<double>(rows);
  Variances out;
  for (std::size_t i = 0; i < sample.values.size(); ++i) {
    const double difference = sample.values[i] - mean[i % columns];
    out.of_rows += difference * difference / static_cast<double>(rows - 1);
  }
  double squares = 0;
  const std::int64_t batches = for_each_batch(sample, order, batch, [&](const auto& places) {
    std::ranges::fill(sum, 0.0);
    for (const std::int64_t place : places)
      for (std::size_t c = 0; c < columns; ++c)
        sum[c] += sample.values[static_cast<std::size_t>(place) * columns + c] - mean[c];
    for (std::size_t c = 0; c < columns; ++c) {
      const double one = sum[c] / static_cast<double>(batch);
      squares += one * one;
      off[c] += one;
    }
  });
  const auto b = static_cast<double>(batches);
  for (const double o : off) squares -= o * o / b;  // the batches' own mean
  out.of_means = squares / (b - 1);
  return out;
}

}  // namespace

TargetSample sample_targets(const ReadableRows& rows, std::int64_t most_rows) {
  const DataFacts& facts = rows.facts();
  TargetSample sample;
  sample.kind = facts.kind;
  sample.columns = facts.targets;
  const std::vector<Range> runs = chosen_rows(facts, most_rows);
  for (const Range run : runs) read_run(rows, run, sample);
  sample.rows = RowSet(runs);
  return sample;
}

std::optional<double> shuffle_spread(const TargetSample& sample, const EpochOrder& order,
                                     std::int64_t batch) {
  if (order.size() / batch < 2) return std::nullopt;
  const Variances found =
      sample.kind == TargetKind::classes ? of_classes(sample, order, batch) : of_values(sample, order, batch);
  if (!(found.of_rows > 0)) return std::nullopt;
  return found.of_means * static_cast<double>(batch) / found.of_rows;
}

}  // namespace trainer::data
