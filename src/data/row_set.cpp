#include "trainer/data/row_set.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::data {

RowSet::RowSet(const std::vector<Range>& runs) {
  for (const Range& run : runs) {
    if (run.size() == 0) continue;
    require(run.size() > 0 && (runs_.empty() || run.begin >= runs_.back().end), ErrorKind::internal,
            "runs of rows overlap or descend at row ", run.begin);
    if (!runs_.empty() && runs_.back().end == run.begin) {
      runs_.back().end = run.end;
      before_.back() += run.size();
    } else {
      runs_.push_back(run);
      before_.push_back(before_.back() + run.size());
    }
  }
}

const RowSet& RowSet::none() {
  static const RowSet kNone;
  return kNone;
}

RowSet RowSet::of(std::span<const std::int64_t> rows) {
  std::vector<Range> runs;
  for (const std::int64_t row : rows) {
    if (!runs.empty() && runs.back().end == row)
      ++runs.back().end;
    else
      runs.push_back({row, row + 1});
  }
  return RowSet(runs);
}

std::size_t RowSet::run_of(std::int64_t place) const {
  return static_cast<std::size_t>(std::upper_bound(before_.begin(), before_.end(), place) - before_.begin()) -
         1;
}

std::int64_t RowSet::operator[](std::int64_t place) const {
  const std::size_t run = run_of(place);
  return runs_[run].begin + place - before_[run];
}

void RowSet::rows_at(std::int64_t place, std::span<std::int64_t> out) const {
  if (out.empty()) return;
  std::size_t run = run_of(place);
  std::int64_t row = runs_[run].begin + place - before_[run];
  for (std::int64_t& each : out) {
    if (row == runs_[run].end) row = runs_[++run].begin;
    each = row++;
  }
}

std::int64_t RowSet::count_below(std::int64_t row) const {
  const auto next =
      std::partition_point(runs_.begin(), runs_.end(), [row](const Range& run) { return run.end <= row; });
  const std::int64_t before = before_[static_cast<std::size_t>(next - runs_.begin())];
  return next == runs_.end() ? before : before + std::max<std::int64_t>(0, row - next->begin);
}

std::vector<std::int64_t> RowSet::list() const {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(size()));
  rows_at(0, rows);
  return rows;
}

}  // namespace trainer::data
