#include "slices.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::comm {

std::vector<std::vector<Range>> deal_slices(const std::vector<Segment>& layers, std::int64_t block,
                                            int ranks) {
  require(block >= 1, ErrorKind::internal, "slices were to be cut into blocks of ", block, " floats");
  std::vector<std::vector<Range>> slices;
  std::int64_t turn = 0;  // the rank whose turn it is to own one block more
  for (const Segment& layer : layers) {
    require(layer.offset >= 0 && layer.size >= 0, ErrorKind::internal, "a layer of ", layer.size,
            " floats at ", layer.offset);
    const std::int64_t blocks = layer.size / block + (layer.size % block != 0 ? 1 : 0);
    const std::int64_t each = blocks / ranks;
    const std::int64_t rest = blocks % ranks;
    std::int64_t taken = 0;  // blocks
    std::vector<Range>& of_layer = slices.emplace_back();
    for (int rank = 0; rank < ranks; ++rank) {
      const bool one_more = (rank - turn + ranks) % ranks < rest;
      const std::int64_t begin = std::min(layer.size, taken * block);
      taken += each + (one_more ? 1 : 0);
      of_layer.push_back({layer.offset + begin, layer.offset + std::min(layer.size, taken * block)});
    }
    turn = (turn + rest) % ranks;
  }
  return slices;
}

}  // namespace trainer::comm
