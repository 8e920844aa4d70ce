#pragma once

#include <cstdint>
#include <vector>

#include "trainer/comm/tree_exchange.h"

namespace trainer::comm {

/// slices[layer][rank]: the floats of the flat vector that a rank owns. Contiguous and in the order of the
/// ranks within a layer, whole blocks (blocks_of), and over all
/// layers together the same number of blocks for every rank, give or take one: where a layer's blocks do not
/// divide evenly, the ranks take turns to own one more.
std::vector<std::vector<Range>> deal_slices(const std::vector<Segment>& layers, std::int64_t block,
                                            int ranks);

}  // namespace trainer::comm
