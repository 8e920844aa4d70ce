#include "trainer/core/tree.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>

#include "trainer/core/error.h"

namespace trainer {
namespace {

std::string join(const std::string& a, const std::string& b) { return "(" + a + " " + b + ")"; }
bool never(Range) { return false; }

/// The tree by another road: pairs of equal size are merged as in a binary counter, the rest from the right.
std::string counted_fold(std::int64_t leaves) {
  std::vector<std::pair<std::int64_t, std::string>> stack;
  for (std::int64_t i = 0; i < leaves; ++i) {
    stack.emplace_back(1, std::to_string(i));
    while (stack.size() > 1 && stack[stack.size() - 2].first == stack.back().first) {
      const auto last = stack.back();
      stack.pop_back();
      stack.back() = {2 * last.first, join(stack.back().second, last.second)};
    }
  }
  std::string result = stack.back().second;
  for (std::size_t i = stack.size() - 1; i-- > 0;) result = join(stack[i].second, result);
  return result;
}

std::string fold(Range node) {
  return *fold_tree<std::string>(
      node, never, [](Range leaf) { return std::optional(std::to_string(leaf.begin)); }, join);
}

TEST(Tree, FoldsInTheFixedOrder) {
  EXPECT_EQ(fold({0, 1}), "0");
  EXPECT_EQ(fold({0, 5}), "(((0 1) (2 3)) 4)");
  EXPECT_EQ(fold({0, 7}), "(((0 1) (2 3)) ((4 5) 6))");
  for (std::int64_t leaves = 1; leaves <= 130; ++leaves) EXPECT_EQ(fold({0, leaves}), counted_fold(leaves));
}

TEST(Tree, CutsAtTheLargestPowerBelow) {
  EXPECT_EQ(tree_cut({0, 2}), 1);
  EXPECT_EQ(tree_cut({0, 8}), 4);
  EXPECT_EQ(tree_cut({0, 9}), 8);
  EXPECT_EQ(tree_cut({8, 11}), 10);
  EXPECT_THROW(tree_cut({3, 4}), Error);
  EXPECT_THROW(tree_cut({3, 3}), Error);
}

bool is_node(Range candidate, Range node) {
  if (candidate == node) return true;
  if (node.size() < 2) return false;
  const std::int64_t middle = tree_cut(node);
  return is_node(candidate, {node.begin, middle}) || is_node(candidate, {middle, node.end});
}

/// The fewest nodes that cover the run, by trying every node at every place.
std::int64_t fewest_nodes(std::int64_t leaves, Range run) {
  if (run.size() == 0) return 0;
  std::int64_t best = run.size();
  for (std::int64_t end = run.begin + 1; end <= run.end; ++end) {
    if (!is_node({run.begin, end}, {0, leaves})) continue;
    best = std::min(best, 1 + fewest_nodes(leaves, {end, run.end}));
  }
  return best;
}

TEST(Tree, MaximalSubtreesCoverTheRunWithTheFewestNodes) {
  for (std::int64_t leaves = 1; leaves <= 13; ++leaves) {
    for (std::int64_t begin = 0; begin <= leaves; ++begin) {
      for (std::int64_t end = begin; end <= leaves; ++end) {
        std::int64_t place = begin;
        const std::vector<Range> nodes = maximal_subtrees(leaves, {begin, end});
        for (const Range node : nodes) {
          ASSERT_EQ(node.begin, place);
          ASSERT_TRUE(is_node(node, {0, leaves}));
          place = node.end;
        }
        ASSERT_EQ(place, end);
        ASSERT_EQ(static_cast<std::int64_t>(nodes.size()), fewest_nodes(leaves, {begin, end}));
      }
    }
  }
}

TEST(Tree, MaximalSubtreesRefuseARunOutsideTheTree) {
  EXPECT_THROW(maximal_subtrees(4, {0, 5}), Error);
  EXPECT_THROW(maximal_subtrees(4, {-1, 2}), Error);
  EXPECT_THROW(maximal_subtrees(4, {3, 2}), Error);
}

/// Every rank folds its maximal subtrees; the top is folded from those: the order must be that of one rank.
std::string fold_by_ranks(std::int64_t leaves, const std::vector<std::int64_t>& boundaries) {
  std::vector<std::pair<Range, std::string>> pieces;
  for (std::size_t rank = 0; rank + 1 < boundaries.size(); ++rank) {
    for (const Range node : maximal_subtrees(leaves, {boundaries[rank], boundaries[rank + 1]})) {
      pieces.emplace_back(node, fold(node));
    }
  }
  const auto find = [&pieces](Range node) -> std::optional<std::string> {
    for (const auto& [range, value] : pieces) {
      if (range == node) return value;
    }
    return std::nullopt;
  };
  return *fold_tree<std::string>(
      {0, leaves}, [&find](Range node) { return find(node).has_value(); }, find, join);
}

TEST(Tree, AnyNumberOfRanksFoldsInTheSameOrder) {
  for (std::int64_t leaves = 1; leaves <= 40; ++leaves) {
    for (std::int64_t ranks = 1; ranks <= leaves + 2; ++ranks) {
      ASSERT_EQ(fold_by_ranks(leaves, run_boundaries(leaves, ranks)), fold({0, leaves}))
          << leaves << " leaves, " << ranks << " ranks";
    }
  }
}

TEST(Tree, AbsentLeavesAreNotZeros) {
  const auto sum = [](unsigned present, std::int64_t leaves, double value) {
    return fold_tree<double>(
        {0, leaves}, never,
        [present, value](Range leaf) {
          return (present >> leaf.begin & 1U) != 0 ? std::optional(value) : std::nullopt;
        },
        [](double a, double b) { return a + b; });
  };
  for (std::int64_t leaves = 1; leaves <= 6; ++leaves) {
    EXPECT_FALSE(sum(0, leaves, 1.0).has_value());
    for (unsigned present = 1; present < 1U << leaves; ++present) {
      EXPECT_EQ(*sum(present, leaves, 1.0), std::popcount(present));
      EXPECT_TRUE(std::signbit(*sum(present, leaves, -0.0))) << "absent + -0 stays -0";
    }
  }
}

std::int64_t pieces_of(std::int64_t leaves, const std::vector<std::int64_t>& boundaries) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
    count += static_cast<std::int64_t>(maximal_subtrees(leaves, {boundaries[i], boundaries[i + 1]}).size());
  }
  return count;
}

/// All ways to deal, smallest boundaries first; keeps the first with the fewest pieces.
void search(std::int64_t leaves, std::size_t ranks, std::int64_t longest,
            std::vector<std::int64_t>& boundaries, std::vector<std::int64_t>& best,
            std::int64_t& best_pieces) {
  if (boundaries.size() == ranks + 1) {
    const std::int64_t pieces = pieces_of(leaves, boundaries);
    if (boundaries.back() == leaves && pieces < best_pieces) {
      best = boundaries;
      best_pieces = pieces;
    }
    return;
  }
  const std::int64_t begin = boundaries.back();
  for (std::int64_t end = begin; end <= std::min(leaves, begin + longest); ++end) {
    boundaries.push_back(end);
    search(leaves, ranks, longest, boundaries, best, best_pieces);
    boundaries.pop_back();
  }
}

TEST(Tree, RunBoundariesAreTheBestOfAll) {
  for (std::int64_t leaves = 1; leaves <= 9; ++leaves) {
    for (std::int64_t ranks = 1; ranks <= leaves; ++ranks) {
      std::vector<std::int64_t> boundaries{0};
      std::vector<std::int64_t> best;
      std::int64_t best_pieces = 1000;
      search(leaves, static_cast<std::size_t>(ranks), (leaves + ranks - 1) / ranks, boundaries, best,
             best_pieces);
      ASSERT_EQ(run_boundaries(leaves, ranks), best) << leaves << " leaves, " << ranks << " ranks";
    }
  }
}

TEST(Tree, RunBoundariesCoverTheLeavesAtAnySize) {
  for (const std::int64_t leaves : {1, 2, 16, 17, 64, 100, 1024, 5000}) {
    for (const std::int64_t ranks : {1, 2, 3, 5, 7, 16, 33, 100, 1000}) {
      const std::vector<std::int64_t> boundaries = run_boundaries(leaves, ranks);
      ASSERT_EQ(static_cast<std::int64_t>(boundaries.size()), ranks + 1);
      ASSERT_EQ(boundaries.front(), 0);
      ASSERT_EQ(boundaries.back(), leaves);
      for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        ASSERT_LE(boundaries[i], boundaries[i + 1]);
        ASSERT_LE(boundaries[i + 1] - boundaries[i], (leaves + ranks - 1) / ranks);
      }
    }
  }
}

TEST(Tree, PowersOfTwoGiveOnePieceEach) {
  EXPECT_EQ(run_boundaries(16, 4), (std::vector<std::int64_t>{0, 4, 8, 12, 16}));
  EXPECT_EQ(run_boundaries(4, 1), (std::vector<std::int64_t>{0, 4}));
}

TEST(Tree, RanksBeyondTheLeavesAreIdle) {
  EXPECT_EQ(run_boundaries(2, 5), (std::vector<std::int64_t>{0, 1, 2, 2, 2, 2}));
}

TEST(Tree, RunBoundariesOfAbsurdSizesEnd) {
  const std::vector<std::int64_t> boundaries = run_boundaries(1 << 20, (1 << 19) + 1);
  EXPECT_EQ(boundaries.size(), static_cast<std::size_t>((1 << 19) + 2));
  EXPECT_EQ(boundaries.back(), 1 << 20);
  EXPECT_THROW(run_boundaries(0, 1), Error);
  EXPECT_THROW(run_boundaries(1, 0), Error);
}

TEST(Cut, PartsAreContiguousAndEven) {
  for (std::int64_t total = 0; total <= 40; ++total) {
    for (std::int64_t parts = 1; parts <= 12; ++parts) {
      std::int64_t place = 0;
      for (std::int64_t part = 0; part < parts; ++part) {
        const Range range = cut(total, parts, part);
        ASSERT_EQ(range.begin, place);
        ASSERT_TRUE(range.size() == total / parts || range.size() == (total + parts - 1) / parts);
        place = range.end;
      }
      ASSERT_EQ(place, total);
    }
  }
}

TEST(Cut, DoesNotOverflow) {
  const std::int64_t huge = std::int64_t{1} << 62;
  EXPECT_EQ(cut(huge, 1024, 1023), (Range{huge / 1024 * 1023, huge}));
  EXPECT_EQ(cut(huge, huge, huge - 1), (Range{huge - 1, huge}));
  EXPECT_THROW(cut(10, 3, 3), Error);
  EXPECT_THROW(cut(10, 0, 0), Error);
}

TEST(DefaultShards, FollowTheBatch) {
  const std::pair<std::int64_t, std::int64_t> expected[] = {
      {1, 1},     {31, 1},    {32, 1},      {63, 1},        {64, 2},         {127, 2},
      {128, 4},   {255, 4},   {256, 4},     {511, 4},       {512, 4},        {1024, 8},
      {2048, 16}, {8192, 64}, {60000, 256}, {131072, 1024}, {1000000, 1024}, {std::int64_t{1} << 40, 1024}};
  for (const auto& [batch, shards] : expected) EXPECT_EQ(default_shards(batch), shards) << "batch " << batch;
  EXPECT_THROW(default_shards(0), Error);
}

}  // namespace
}  // namespace trainer
