#include "source.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kLineBytes = 64;

bool stores_bytes(const DataFacts& facts) { return facts.element_type == "uint8"; }

std::int64_t product(std::int64_t rows, std::int64_t columns, std::int64_t size) {
  std::int64_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(rows, columns, &bytes) ||
                        __builtin_mul_overflow(bytes, size, &bytes) ||
                        bytes > std::numeric_limits<std::int64_t>::max() / 4;
  require(!overflow, ErrorKind::data, "--data: ", rows, " rows of ", columns,
          " columns are more than memory can hold");
  return bytes;
}

/// The targets begin on a line of their own.
std::int64_t padded_input_bytes(const DataFacts& facts) {
  return (input_bytes(facts) + kLineBytes - 1) / kLineBytes * kLineBytes;
}

}  // namespace

std::int64_t input_bytes(const DataFacts& facts) {
  return product(facts.rows, facts.features, stores_bytes(facts) ? 1 : 4);
}

std::int64_t target_bytes(const DataFacts& facts) {
  // Classes are one column, and not counted yet; of no targets there are 0.
  return product(facts.rows, facts.kind == TargetKind::classes ? 1 : facts.targets, 4);
}

std::int64_t decoded_bytes(const DataFacts& facts) { return padded_input_bytes(facts) + target_bytes(facts); }

std::vector<std::int64_t> blocks_of(const Source& source) {
  constexpr std::int64_t kLeastBytes = std::int64_t{1} << 20;
  const std::int64_t rows = source.facts.rows;
  const std::int64_t row_bytes = std::max<std::int64_t>(1, decoded_bytes(with_rows(source.facts, 1)));
  const std::int64_t least = std::clamp<std::int64_t>((kLeastBytes + row_bytes - 1) / row_bytes, 1, rows);
  std::vector<std::int64_t> blocks;
  if (source.pieces.empty()) {
    for (std::int64_t row = 0; row < rows; row += least) blocks.push_back(row);
    return blocks;
  }
  for (const std::int64_t piece : source.pieces)
    if (blocks.empty() || piece - blocks.back() >= least) blocks.push_back(piece);
  return blocks;
}

std::string shape_text(const DataFacts& facts) {
  std::string out;
  for (const std::int64_t size : facts.feature_shape) out += text(out.empty() ? "" : " x ", size);
  return out;
}

Range block_rows(const DataFacts& facts, std::int64_t block) {
  const auto b = static_cast<std::size_t>(block);
  return {facts.blocks[b], b + 1 < facts.blocks.size() ? facts.blocks[b + 1] : facts.rows};
}

std::int64_t largest_block_rows(const DataFacts& facts) {
  std::int64_t most = 0;
  for (std::size_t b = 0; b < facts.blocks.size(); ++b)
    most = std::max(most, block_rows(facts, static_cast<std::int64_t>(b)).size());
  return most;
}

std::int64_t largest_block_bytes(const DataFacts& facts) {
  return decoded_bytes(with_rows(facts, largest_block_rows(facts)));
}

std::int64_t bytes_needed(const DataFacts& facts) {
  const std::int64_t bytes = decoded_bytes(facts);
  const std::int64_t present = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  require(bytes < present, ErrorKind::data, "--data: the rows need ", bytes >> 20,
          " MiB of memory, but this node has ", present >> 20, " MiB");
  return bytes;
}

RowStore store_in(std::byte* memory, const DataFacts& facts) {
  RowStore store;
  if (stores_bytes(facts)) {
    store.bytes = reinterpret_cast<std::uint8_t*>(memory);
  } else {
    store.floats = reinterpret_cast<float*>(memory);
  }
  std::byte* const targets = memory + padded_input_bytes(facts);
  if (facts.kind == TargetKind::classes) {
    store.classes = reinterpret_cast<std::int32_t*>(targets);
  } else if (facts.kind == TargetKind::values) {
    store.values = reinterpret_cast<float*>(targets);
  }
  return store;
}

RowStore from_row(const RowStore& store, const DataFacts& facts, std::int64_t row) {
  RowStore part;
  if (store.bytes != nullptr) part.bytes = store.bytes + row * facts.features;
  if (store.floats != nullptr) part.floats = store.floats + row * facts.features;
  if (store.classes != nullptr) part.classes = store.classes + row;
  if (store.values != nullptr) part.values = store.values + row * facts.targets;
  return part;
}

DataFacts with_rows(DataFacts facts, std::int64_t rows) {
  facts.rows = rows;
  return facts;
}

}  // namespace trainer::data
