#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/data_set.h"
#include "trainer/data/row_set.h"

namespace trainer::data {

/// The order of the training rows in each epoch: a pure function of (seed, epoch, place), with nothing to
/// save and any place found without those before it. Memory, ranks and threads have no part in it.
///   rows            a fresh permutation of all rows every epoch
///   chunks(window)  for data that is read from its files: the blocks of the data set (DataFacts::blocks) in
///                   a fresh permutation every epoch, `window` of them at a time, the rows of each window in
///                   a fresh permutation
///   none            the order of the data set
/// Thread-safe.
class EpochOrder {
 public:
  /// `shuffle`: as above, or empty for rows, or `false` for none. `blocks`: first rows of the blocks,
  /// ascending from 0; empty: one block. Throws Error(usage) for an unknown `shuffle`, Error(internal) when
  /// `rows` is empty.
  EpochOrder(std::uint64_t seed, RowSet rows, const std::string& shuffle = "rows",
             const std::vector<std::int64_t>& blocks = {});

  std::int64_t size() const { return rows_.size(); }
  const RowSet& rows() const { return rows_; }
  /// The data set's row at `place` in [0, size()) of `epoch` (from 0).
  std::int64_t row_at(std::int64_t epoch, std::int64_t place) const;
  /// out[i] = row_at(epoch, place + i).
  void rows_at(std::int64_t epoch, std::int64_t place, std::span<std::int64_t> out) const;

  /// Whether an epoch is a sequence of windows, each of the rows of a few blocks (chunks, none).
  bool has_windows() const { return kind_ != Kind::rows; }
  std::int64_t windows() const;  ///< of an epoch
  std::int64_t window_at(std::int64_t epoch, std::int64_t place) const;
  /// The places of an epoch that a window fills.
  Range places_of(std::int64_t epoch, std::int64_t window) const;
  /// The blocks that a window's rows lie in, at most window_blocks() of them.
  std::vector<std::int64_t> blocks_of(std::int64_t epoch, std::int64_t window) const;
  std::int64_t window_blocks() const { return window_; }
  /// The least rows of a window that is not an epoch's last.
  std::int64_t least_window_rows() const { return least_window_rows_; }

 private:
  enum class Kind { rows, chunks, none };
  struct Block {
    std::int64_t index = 0;  ///< among the data set's
    std::int64_t place = 0;  ///< of its first training row in rows_
    std::int64_t rows = 0;   ///< training rows, at least 1
  };
  /// An epoch's sequence of blocks.
  struct Epoch {
    std::int64_t number = -1;
    std::vector<std::size_t> blocks;   ///< places in blocks_
    std::vector<std::int64_t> before;  ///< rows before each, and of all
  };
  std::shared_ptr<const Epoch> epoch(std::int64_t number) const;
  Range blocks_in(std::int64_t window) const;

  std::uint64_t seed_;
  RowSet rows_;
  Kind kind_ = Kind::rows;
  std::int64_t window_ = 1;  ///< blocks
  std::int64_t least_window_rows_ = 0;
  std::vector<Block> blocks_;  ///< that hold training rows
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Epoch> latest_, former_;
};

/// What `--shuffle` (`option`) means for this data: `rows`, `none` or `chunks(window)`. Empty: rows, and
/// chunks for data of more than kLargeData bytes in memory. A window is 128 MiB where the option names no
/// number of blocks. Depends on size and layout of the data alone. Throws Error(usage).
std::string resolved_shuffle(const std::string& option, const DataFacts& facts);

/// Data of more bytes than this are shuffled in windows, and validated by whole blocks, unless told
/// otherwise: 4 GiB.
constexpr std::int64_t kLargeData = std::int64_t{4} << 30;
bool is_large(const DataFacts& facts);

}  // namespace trainer::data
