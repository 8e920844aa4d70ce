#include "source.h"

#include <unistd.h>

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

std::int64_t bytes_needed(const DataFacts& facts) {
  const std::int64_t bytes = padded_input_bytes(facts) + target_bytes(facts);
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

}  // namespace trainer::data
