#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/core/tree.h"

namespace trainer::data {

/// Some rows of a data set, ascending, as runs: what it takes in memory and time grows with the runs, not
/// with the rows. Const functions are thread-safe.
class RowSet {
 public:
  RowSet() = default;
  /// Ascending and apart; runs that touch are joined, empty ones dropped. Throws Error(internal) for runs
  /// that overlap or descend.
  explicit RowSet(const std::vector<Range>& runs);
  static const RowSet& none();
  static RowSet all(std::int64_t rows) { return RowSet({{0, rows}}); }
  /// `rows` ascend.
  static RowSet of(std::span<const std::int64_t> rows);

  std::int64_t size() const { return before_.back(); }
  bool empty() const { return runs_.empty(); }
  const std::vector<Range>& runs() const { return runs_; }
  /// The row at `place` in [0, size()), in O(log runs).
  std::int64_t operator[](std::int64_t place) const;
  /// out[i] = (*this)[place + i].
  void rows_at(std::int64_t place, std::span<std::int64_t> out) const;
  /// How many of these rows are below `row`.
  std::int64_t count_below(std::int64_t row) const;
  std::vector<std::int64_t> list() const;
  bool operator==(const RowSet&) const = default;

 private:
  std::size_t run_of(std::int64_t place) const;

  std::vector<Range> runs_;
  std::vector<std::int64_t> before_ = {0};  ///< rows before each run; at the end, of all
};

}  // namespace trainer::data
