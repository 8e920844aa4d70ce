#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "source.h"
#include "trainer/core/buffer.h"

namespace trainer::data {

/// One block of rows in memory.
struct Block {
  std::int64_t index = 0;
  Buffer<std::byte> memory;
  RowStore store;
};

/// Blocks that were asked for last, some 64 MiB of them, read when they are not there: for rows that are
/// gathered in nearly ascending order (evaluations). Thread-safe; one block is read at a time.
class BlockCache {
 public:
  using Read = std::function<void(std::int64_t block, const RowStore&)>;
  BlockCache(const DataFacts& facts, Read read);
  std::shared_ptr<const Block> get(std::int64_t block);

 private:
  const DataFacts& facts_;
  Read read_;
  std::size_t most_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const Block>> blocks_;  ///< the latest first
};

}  // namespace trainer::data
