#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "source.h"
#include "trainer/core/buffer.h"

namespace trainer::data {

/// The rows of a source, any of them and again: those that cannot be read in parts are read once, whole.
class ReadableRows {
 public:
  /// `facts`: of the source, with blocks. Both outlive this object. Throws Error(data) as the source does.
  ReadableRows(const Source& source, const DataFacts& facts);
  const Source& source() const { return source_; }
  const DataFacts& facts() const { return facts_; }
  /// As Source::read.
  void read(Range rows, const RowStore& store) const;

 private:
  const Source& source_;
  const DataFacts& facts_;
  Buffer<std::byte> memory_;  ///< of all rows, or empty
  RowStore all_;
};

/// What some values are; a missing one (NaN) is none of them.
struct ValueFacts {
  double least = 0, mean = 0, greatest = 0;  ///< nan without values
  std::int64_t missing = 0;
};

/// What the inputs of some rows are.
struct InputFacts {
  std::int64_t rows = 0;  ///< that were looked at
  ValueFacts all;
  std::vector<ValueFacts> columns;
  std::vector<std::int64_t> constant;  ///< columns of one value
};

/// Looks at up to `most_bytes` of the inputs, in parts spread over the data. Throws what reading meets.
InputFacts look_at_inputs(const ReadableRows& rows, std::int64_t most_bytes);

}  // namespace trainer::data
