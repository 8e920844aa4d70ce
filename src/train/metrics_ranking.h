#pragma once

// The area under the ROC curve. Private to this room.

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/buffer.h"
#include "trainer/core/team.h"

namespace trainer::train {

/// The pairs of rows that scores order rightly, counted over rows that lie on many ranks. A column holds the
/// scores for one class against all others (two classes: class 1 alone). Memory of a rank: 4 bytes for each
/// of its rows and columns, and 4 a row; up to three times that while count() sorts, then up to twice, and 4
/// bytes for each row of the largest rank.
class Ranking {
 public:
  Ranking(std::int64_t rows, std::int64_t classes);
  std::int64_t columns() const { return columns_; }

  /// The scores of this rank's row `row`, [outputs], and its class. Thread-safe for different rows.
  void put(std::int64_t row, const float* outputs, std::int64_t count, std::int32_t truth);
  /// **Collective.** Once, when all rows are there: twice the pairs (row of the class, row of this rank that
  /// is not of it) where the former has the larger score, plus the ties; and this rank's scores that are nan
  /// (their columns are not counted). The sums over the ranks are those of all pairs. [columns]
  void count(const comm::Communicator& world, const Team& team, std::span<std::int64_t> twice_won,
             std::span<std::int64_t> nan);

 private:
  /// One column: scores of the rows of the class, and of the others; ascending.
  struct Column {
    std::vector<float> positive, negative;
  };
  Column sort_column(std::int64_t column, std::int64_t& nan) const;

  std::int64_t rows_, columns_;
  Buffer<float> scores_;  // [columns, rows]
  std::vector<std::int32_t> truth_;
};

}  // namespace trainer::train
