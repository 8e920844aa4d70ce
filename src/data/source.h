#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/core/tree.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// Where a source writes rows, in order: each member points to the place of the first row that is asked for.
/// At most one of bytes and floats is set, and one of classes and values; what is not set is not wanted.
struct RowStore {
  std::uint8_t* bytes = nullptr;    ///< [rows, features]
  float* floats = nullptr;          ///< [rows, features]
  std::int32_t* classes = nullptr;  ///< [rows]
  float* values = nullptr;          ///< [rows, targets]
};

/// A data set that can be read, known so far by its facts. For classes, facts.targets may still be 0 (to be
/// counted); the fingerprint is still empty.
struct Source {
  DataFacts facts;
  std::string identity;   ///< what belongs into the fingerprint beside types, shapes and content: names of
                          ///< files without folders
  bool any_rows = false;  ///< read() takes any rows, in any order and again; else all of them, and once
  /// First rows of the pieces that files store together (a compressed chunk, a small file): a part of one
  /// costs as much as all of it. Ascending from 0; empty: rows cost the same everywhere.
  std::vector<std::int64_t> pieces = {};
  std::vector<std::int64_t> files = {};  ///< first row of each file, ascending from 0; empty: one file
  /// Reads rows; one thread at a time. Throws Error(data) naming file, row and column for what cannot be
  /// read, is not finite or is beyond f32.
  std::function<void(Range, const RowStore&)> read;
  /// The groups that all rows belong to, by the data set or column `path`: equal numbers, equal group
  /// (--validation groups(PATH)). Empty where the format has none.
  std::function<std::vector<std::int64_t>(const std::string& path)> groups = {};
  /// DataSet::place_of; empty: by its number. Thread-safe.
  using Place = std::function<std::string(std::int64_t row)>;
  Place place = {};
};

/// Bytes of all rows in memory. Throws Error(data) when that is more than any memory.
std::int64_t decoded_bytes(const DataFacts& facts);
/// First rows of the blocks in which a source is read and shuffled: at least 1 MiB each, of whole pieces.
std::vector<std::int64_t> blocks_of(const Source& source);
/// Rows and bytes in memory of the largest of facts.blocks.
std::int64_t largest_block_rows(const DataFacts& facts);
std::int64_t largest_block_bytes(const DataFacts& facts);
/// "28 x 28": the shape of a row.
std::string shape_text(const DataFacts& facts);
/// The rows of a block.
Range block_rows(const DataFacts& facts, std::int64_t block);

/// The same for memory that must be there. Throws Error(data) when they are more than this node has.
std::int64_t bytes_needed(const DataFacts& facts);
/// Bytes of the inputs and of the targets alone.
std::int64_t input_bytes(const DataFacts& facts);
std::int64_t target_bytes(const DataFacts& facts);
/// The parts of `memory`, which has bytes_needed(facts) bytes and is aligned to 64.
RowStore store_in(std::byte* memory, const DataFacts& facts);
/// The same store from its row `row` on.
RowStore from_row(const RowStore& store, const DataFacts& facts, std::int64_t row);
/// `facts` of so many of the rows: for stores of a part.
DataFacts with_rows(DataFacts facts, std::int64_t rows);

}  // namespace trainer::data
