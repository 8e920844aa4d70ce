#include "trainer/core/tree.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "trainer/core/error.h"

namespace trainer {
namespace {

std::int64_t bit_floor(std::int64_t x) {
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(x)));
}

/// Calls visit(node) for the maximal subtrees below `node` that lie in `run`, in order. The depth is at
/// most 64.
template <class Visit>
void visit_maximal_subtrees(Range node, Range run, const Visit& visit) {
  if (node.end <= run.begin || run.end <= node.begin) return;
  if (run.begin <= node.begin && node.end <= run.end) {
    visit(node);
    return;
  }
  const std::int64_t middle = tree_cut(node);
  visit_maximal_subtrees({node.begin, middle}, run, visit);
  visit_maximal_subtrees({middle, node.end}, run, visit);
}

std::int64_t count_maximal_subtrees(std::int64_t leaves, Range run) {
  std::int64_t count = 0;
  if (run.size() > 0) visit_maximal_subtrees({0, leaves}, run, [&count](Range) { ++count; });
  return count;
}

/// The cheapest way to deal shards, from the last rank to the first (dynamic programming, Bellman 1957).
/// Before rank r, between leaves - (ranks - r) * longest and r * longest shards can have been dealt.
class Dealing {
 public:
  Dealing(std::int64_t leaves, std::int64_t ranks)
      : leaves_(leaves), ranks_(ranks), longest_((leaves + ranks - 1) / ranks) {}

  std::int64_t states() const { return (ranks_ + 1) * width(); }

  std::vector<std::int64_t> boundaries() {
    cost_.assign(static_cast<std::size_t>(states()), 0);
    for (std::int64_t rank = ranks_ - 1; rank >= 0; --rank) {
      for (std::int64_t begin = lowest(rank); begin <= highest(rank); ++begin) {
        cost(rank, begin) = cost_from(rank, {begin, cheapest_end(rank, begin)});
      }
    }
    std::vector<std::int64_t> result{0};
    for (std::int64_t rank = 0; rank < ranks_; ++rank) result.push_back(cheapest_end(rank, result.back()));
    return result;
  }

 private:
  std::int64_t lowest(std::int64_t rank) const {
    return std::max<std::int64_t>(0, leaves_ - (ranks_ - rank) * longest_);
  }
  std::int64_t highest(std::int64_t rank) const { return std::min(leaves_, rank * longest_); }
  std::int64_t width() const { return ranks_ * longest_ - leaves_ + 1; }
  std::int64_t& cost(std::int64_t rank, std::int64_t begin) {
    return cost_[static_cast<std::size_t>(rank * width() + begin - lowest(rank))];
  }
  std::int64_t cost_from(std::int64_t rank, Range run) {
    return count_maximal_subtrees(leaves_, run) + cost(rank + 1, run.end);
  }
  std::int64_t cheapest_end(std::int64_t rank, std::int64_t begin) {
    std::int64_t best = -1;
    std::int64_t best_cost = std::numeric_limits<std::int64_t>::max();
    const std::int64_t last = std::min(begin + longest_, highest(rank + 1));
    for (std::int64_t end = std::max(begin, lowest(rank + 1)); end <= last; ++end) {
      const std::int64_t here = cost_from(rank, {begin, end});
      if (here < best_cost) {
        best = end;
        best_cost = here;
      }
    }
    return best;
  }

  std::int64_t leaves_;
  std::int64_t ranks_;
  std::int64_t longest_;
  std::vector<std::int64_t> cost_;
};

std::vector<std::int64_t> even_boundaries(std::int64_t leaves, std::int64_t ranks) {
  std::vector<std::int64_t> result{0};
  for (std::int64_t rank = 0; rank < ranks; ++rank) result.push_back(cut(leaves, ranks, rank).end);
  return result;
}

}  // namespace

Range cut(std::int64_t total, std::int64_t parts, std::int64_t part) {
  require(total >= 0 && parts >= 1 && part >= 0 && part < parts, ErrorKind::internal, "part ", part, " of ",
          total, " things cut into ", parts, " parts was asked for");
  const auto boundary = [total, parts](std::int64_t i) {
    return static_cast<std::int64_t>(static_cast<__int128>(i) * total / parts);
  };
  return {boundary(part), boundary(part + 1)};
}

std::int64_t tree_cut(Range leaves) {
  require(leaves.size() >= 2, ErrorKind::internal, "a tree node of ", leaves.size(),
          " leaves has no children");
  return leaves.begin + bit_floor(leaves.size() - 1);
}

std::vector<Range> maximal_subtrees(std::int64_t leaves, Range run) {
  require(0 <= run.begin && run.begin <= run.end && run.end <= leaves, ErrorKind::internal, "the run [",
          run.begin, ", ", run.end, ") does not lie in a tree of ", leaves, " leaves");
  std::vector<Range> result;
  if (run.size() > 0) {
    visit_maximal_subtrees({0, leaves}, run, [&result](Range node) { result.push_back(node); });
  }
  return result;
}

std::vector<std::int64_t> run_boundaries(std::int64_t leaves, std::int64_t ranks) {
  require(leaves >= 1 && ranks >= 1, ErrorKind::internal, leaves, " shards cannot be dealt to ", ranks,
          " ranks");
  constexpr std::int64_t kMaximumStates = std::int64_t{1} << 24;
  const std::int64_t dealt = std::min(leaves, ranks);
  Dealing dealing(leaves, dealt);
  std::vector<std::int64_t> result =
      dealing.states() <= kMaximumStates ? dealing.boundaries() : even_boundaries(leaves, dealt);
  result.resize(static_cast<std::size_t>(ranks + 1), leaves);
  return result;
}

std::int64_t default_shards(std::int64_t batch) {
  require(batch >= 1, ErrorKind::internal, "a batch of ", batch, " rows has no shards");
  const std::int64_t large = bit_floor(batch / 128);
  const std::int64_t small = std::min<std::int64_t>(4, bit_floor(batch / 32));
  return std::min<std::int64_t>(1024, std::max<std::int64_t>({1, large, small}));
}

}  // namespace trainer
