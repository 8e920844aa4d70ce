#include "metrics_ranking.h"

#include <algorithm>
#include <cmath>

namespace trainer::train {
namespace {

/// Over all pairs of the two ascending lists: 2 where `high` is the larger, 1 where they are equal.
std::int64_t twice_won_pairs(std::span<const float> high, std::span<const float> low) {
  std::size_t below = 0, through = 0;  // of `low`: smaller than the score; not larger
  std::size_t sum = 0;
  for (const float score : high) {
    while (below < low.size() && low[below] < score) ++below;
    through = std::max(through, below);
    while (through < low.size() && low[through] == score) ++through;
    sum += below + through;
  }
  return static_cast<std::int64_t>(sum);
}

}  // namespace

Ranking::Ranking(std::int64_t rows, std::int64_t classes)
    : rows_(rows),
      columns_(classes == 2 ? 1 : classes),
      scores_(rows * columns_),
      truth_(static_cast<std::size_t>(rows)) {}

void Ranking::put(std::int64_t row, const float* outputs, std::int64_t count, std::int32_t truth) {
  if (columns_ == 1) outputs += count - 1;  // of class 1
  for (std::int64_t c = 0; c < columns_; ++c) scores_[c * rows_ + row] = outputs[c];
  truth_[static_cast<std::size_t>(row)] = truth;
}

Ranking::Column Ranking::sort_column(std::int64_t column, std::int64_t& nan) const {
  const std::int64_t wanted = columns_ == 1 ? 1 : column;
  Column sorted;
  nan = 0;
  for (std::int64_t row = 0; row < rows_; ++row) {
    const float score = scores_[column * rows_ + row];
    nan += std::isnan(score) ? 1 : 0;
    (truth_[static_cast<std::size_t>(row)] == wanted ? sorted.positive : sorted.negative).push_back(score);
  }
  if (nan > 0) return {};  // nan has no place in an order
  std::ranges::sort(sorted.positive);
  std::ranges::sort(sorted.negative);
  return sorted;
}

// A row is of one class: the scores of the rows for their own classes are one float a row. They go round,
// rank by rank, and every rank counts them against its own other rows.
void Ranking::count(const comm::Communicator& world, const Team& team, std::span<std::int64_t> twice_won,
                    std::span<std::int64_t> nan) {
  std::vector<Column> columns(static_cast<std::size_t>(columns_));
  team.run(columns_, [&](std::int64_t c, int) {
    const auto at = static_cast<std::size_t>(c);
    columns[at] = sort_column(c, nan[at]);
  });
  scores_ = Buffer<float>();
  std::ranges::fill(twice_won, 0);
  std::vector<std::int64_t> begin(columns.size() + 1);
  std::vector<float> positive;
  for (int root = 0; root < world.size(); ++root) {
    if (root == world.rank()) {
      positive.clear();
      for (std::size_t c = 0; c < columns.size(); ++c) {
        positive.insert(positive.end(), columns[c].positive.begin(), columns[c].positive.end());
        begin[c + 1] = static_cast<std::int64_t>(positive.size());
      }
    }
    world.broadcast(begin.data(), static_cast<std::int64_t>(begin.size() * sizeof(begin[0])), root);
    positive.resize(static_cast<std::size_t>(begin.back()));
    world.broadcast(positive.data(), static_cast<std::int64_t>(positive.size() * sizeof(float)), root);
    team.run(columns_, [&](std::int64_t c, int) {
      const auto at = static_cast<std::size_t>(c);
      const std::span<const float> high(positive.data() + begin[at], positive.data() + begin[at + 1]);
      twice_won[at] += twice_won_pairs(high, columns[at].negative);
    });
  }
}

}  // namespace trainer::train
