#pragma once

#include <cstdint>
#include <vector>

#include "source.h"
#include "trainer/data/open.h"
#include "trainer/data/order.h"

namespace trainer::data {

/// The rule of --memory-limit: the rows of all splits are in memory when they fill at most three quarters of
/// it; else they are read in windows, which are at most half of it.

/// Bytes of the rows of all splits in memory.
std::int64_t bytes_of_rows(const std::vector<Source>& splits);
/// Whether so many bytes of rows are held in memory.
bool holds_rows(const MemoryLimit& limit, std::int64_t bytes);
/// The least limit that holds them, as --memory-limit takes it: "60M".
std::string limit_to_hold(std::int64_t bytes);
/// For rows that do not fit into memory: throws Error(usage), naming the least limit that does and what else
/// works, when an order of them cannot be read within `limit` for batches of so many rows. `all_bytes`: of
/// the rows of all splits.
void require_window_room(const DataFacts& facts, const EpochOrder& order, std::int64_t batch,
                         std::int64_t all_bytes, const MemoryLimit& limit);

}  // namespace trainer::data
