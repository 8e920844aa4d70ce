#include "slices.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::comm {

std::vector<Range> blocks_of(const Segment& layer, std::int64_t block) {
  require(block >= 1, ErrorKind::internal, "slices were to be cut into blocks of ", block, " floats");
  require(layer.offset >= 0 && layer.size >= 0 && std::ranges::is_sorted(layer.tensors), ErrorKind::internal,
          "a layer of ", layer.size, " floats at ", layer.offset);
  std::vector<Range> blocks;
  const auto cut_tensor = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += block)
      blocks.push_back({layer.offset + at, layer.offset + std::min(end, at + block)});
  };
  std::int64_t begin = 0;
  for (const std::int64_t next : layer.tensors) {
    cut_tensor(begin, std::min(next, layer.size));
    begin = std::min(next, layer.size);
  }
  cut_tensor(begin, layer.size);
  return blocks;
}

std::vector<std::vector<Range>> deal_slices(const std::vector<Segment>& layers, std::int64_t block,
                                            int ranks) {
  std::vector<std::vector<Range>> slices;
  std::int64_t turn = 0;  // the rank whose turn it is to own one block more
  for (const Segment& layer : layers) {
    const std::vector<Range> blocks = blocks_of(layer, block);
    const auto count = std::ssize(blocks);
    const std::int64_t each = count / ranks;
    const std::int64_t rest = count % ranks;
    std::int64_t taken = 0;  // blocks
    std::int64_t begin = layer.offset;
    std::vector<Range>& of_layer = slices.emplace_back();
    for (int rank = 0; rank < ranks; ++rank) {
      taken += each + ((rank - turn + ranks) % ranks < rest ? 1 : 0);
      const std::int64_t end = taken == 0 ? begin : blocks[static_cast<std::size_t>(taken - 1)].end;
      of_layer.push_back({begin, end});
      begin = end;
    }
    turn = (turn + rest) % ranks;
  }
  return slices;
}

}  // namespace trainer::comm
