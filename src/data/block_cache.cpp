#include "block_cache.h"

#include <algorithm>
#include <utility>

namespace trainer::data {

BlockCache::BlockCache(const DataFacts& facts, Read read) : facts_(facts), read_(std::move(read)) {
  constexpr std::int64_t kBytes = std::int64_t{64} << 20;
  most_ = static_cast<std::size_t>(
      std::max<std::int64_t>(2, kBytes / std::max<std::int64_t>(1, largest_block_bytes(facts))));
}

std::shared_ptr<const Block> BlockCache::get(std::int64_t block) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                  [block](const auto& each) { return each->index == block; });
  if (found != blocks_.end()) {
    blocks_.splice(blocks_.begin(), blocks_, found);
    return blocks_.front();
  }
  auto made = std::make_shared<Block>();
  DataFacts facts = facts_;
  facts.rows = block_rows(facts_, block).size();
  made->index = block;
  made->memory = Buffer<std::byte>(decoded_bytes(facts));
  made->store = store_in(made->memory.data(), facts);
  read_(block, made->store);
  blocks_.push_front(made);
  if (blocks_.size() > most_) blocks_.pop_back();
  return made;
}

}  // namespace trainer::data
