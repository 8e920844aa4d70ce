#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "trainer/data/data_set.h"

namespace trainer::data {

/// Where a source writes its rows: all of them, in order. At most one of bytes and floats is set, and one of
/// classes and values; what is not set is not wanted.
struct RowStore {
  std::uint8_t* bytes = nullptr;    ///< [rows, features]
  float* floats = nullptr;          ///< [rows, features]
  std::int32_t* classes = nullptr;  ///< [rows]
  float* values = nullptr;          ///< [rows, targets]
};

/// A data set that can be read whole, known so far by its facts. For classes, facts.targets may still be 0
/// (to be counted); the fingerprint is still empty.
struct Source {
  DataFacts facts;
  std::string identity;  ///< what belongs into the fingerprint beside types, shapes and content: names of
                         ///< files without folders
  std::function<void(const RowStore&)> fill;
};

/// Bytes of all rows in memory. Throws Error(data) when they are more than this node has.
std::int64_t bytes_needed(const DataFacts& facts);
/// Bytes of the inputs and of the targets alone.
std::int64_t input_bytes(const DataFacts& facts);
std::int64_t target_bytes(const DataFacts& facts);
/// The parts of `memory`, which has bytes_needed(facts) bytes and is aligned to 64.
RowStore store_in(std::byte* memory, const DataFacts& facts);

}  // namespace trainer::data
