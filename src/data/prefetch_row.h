#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace trainer::data {

/// Rows to ask of the memory ahead of the one being copied: they lie anywhere, so the processor cannot guess
/// them.
constexpr std::size_t kRowsAhead = 2;

template <class Raw>
void prefetch_row(const Raw* row, std::int64_t columns) {
  constexpr std::int64_t kLineBytes = 64;
  const char* const begin = reinterpret_cast<const char*>(row);
  const std::int64_t bytes = std::min<std::int64_t>(columns * static_cast<std::int64_t>(sizeof(Raw)), 4096);
  for (std::int64_t offset = 0; offset < bytes; offset += kLineBytes) __builtin_prefetch(begin + offset);
}

}  // namespace trainer::data
