#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trainer::data {

/// The order of the training rows in each epoch: a pure function of (seed, epoch, place), O(1), nothing to
/// save. Thread-safe.
class EpochOrder {
 public:
  /// `shuffle` as in --shuffle: empty or `rows` (a fresh permutation of all rows every epoch), `none` or
  /// `false` (the order of `rows`). Throws Error(usage) for anything else, Error(internal) when `rows` is
  /// empty.
  EpochOrder(std::uint64_t seed, std::vector<std::int64_t> rows, const std::string& shuffle = "rows");

  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }
  /// The data set's row at `place` in [0, size()) of `epoch` (from 0).
  std::int64_t row_at(std::int64_t epoch, std::int64_t place) const;
  /// out[i] = row_at(epoch, place + i).
  void rows_at(std::int64_t epoch, std::int64_t place, std::span<std::int64_t> out) const;
  const std::vector<std::int64_t>& rows() const { return rows_; }

 private:
  std::uint64_t seed_;
  std::vector<std::int64_t> rows_;
  bool shuffled_;
};

}  // namespace trainer::data
