#include "trainer/comm/tree_exchange.h"
#include "trainer/core/error.h"

namespace trainer::comm {

TreeDeal::TreeDeal(std::int64_t leaves_in, int ranks) : leaves(leaves_in) {
  constexpr std::int64_t kMostLeaves = std::int64_t{1} << 20;
  require(leaves >= 1 && leaves <= kMostLeaves, ErrorKind::usage, "--shards is ", leaves,
          "; it must be from 1 to ", kMostLeaves);
  require(ranks >= 1, ErrorKind::internal, "a tree was dealt to ", ranks, " ranks");
  const std::vector<std::int64_t> boundaries = run_boundaries(leaves, ranks);
  for (std::size_t rank = 0; rank + 1 < boundaries.size(); ++rank) {
    runs.push_back({boundaries[rank], boundaries[rank + 1]});
    pieces.push_back(runs.back().size() > 0 ? maximal_subtrees(leaves, runs.back()) : std::vector<Range>{});
  }
}

}  // namespace trainer::comm
