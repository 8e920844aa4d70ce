#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace trainer {

/// A half-open run of indices: [begin, end).
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// Part `part` of `total` things cut into `parts`: [floor(part*total/parts), floor((part+1)*total/parts)). No
/// overflow up to 2^62.
Range cut(std::int64_t total, std::int64_t parts, std::int64_t part);

/// Where the node `leaves` (size >= 2) of the fixed tree is cut: at the largest power of two below its size.
/// The children are [begin, cut) and [cut, end).
std::int64_t tree_cut(Range leaves);

/// The maximal subtrees of the fixed tree over [0, leaves) that lie in `run`, in order.
std::vector<Range> maximal_subtrees(std::int64_t leaves, Range run);

/// How `leaves` shards are dealt to `ranks` ranks in contiguous runs: ranks + 1 boundaries, no run longer
/// than ceil(leaves / ranks), and among those the fewest maximal subtrees in all (bytes on the wire grow with
/// them); ties take the smallest boundaries. Ranks beyond `leaves` get empty runs.
std::vector<std::int64_t> run_boundaries(std::int64_t leaves, std::int64_t ranks);

/// Folds [node.begin, node.end) in the order of the fixed tree. `leaf(Range)` gives std::optional<T> for a
/// node that is already folded or is a single leaf, or is asked only for nodes where `is_leaf(Range)` is
/// true; absent (nullopt) + x = x. `combine(T, T)` -> T.
template <class T, class IsLeaf, class Leaf, class Combine>
std::optional<T> fold_tree(Range node, const IsLeaf& is_leaf, const Leaf& leaf, const Combine& combine) {
  if (node.size() == 1 || is_leaf(node)) return leaf(node);
  const std::int64_t middle = tree_cut(node);
  std::optional<T> left = fold_tree<T>({node.begin, middle}, is_leaf, leaf, combine);
  std::optional<T> right = fold_tree<T>({middle, node.end}, is_leaf, leaf, combine);
  if (!right) return left;
  if (!left) return right;
  return combine(std::move(*left), std::move(*right));
}

/// The same for values that stay where they are. `find(Range)` gives std::optional<T*>: a pointer for a node
/// that is there already or is a single leaf (null: absent), nothing for one to be folded of its children.
/// `combine(left_node, right_node, T* left, const T* right)` adds right to left. Returns where the total
/// stands, null when all are absent.
template <class T, class Find, class Combine>
T* fold_in_place(Range node, const Find& find, const Combine& combine) {
  if (const std::optional<T*> found = find(node)) return *found;
  const std::int64_t middle = tree_cut(node);
  const Range left_node{node.begin, middle}, right_node{middle, node.end};
  T* left = fold_in_place<T>(left_node, find, combine);
  T* right = fold_in_place<T>(right_node, find, combine);
  if (left != nullptr && right != nullptr) combine(left_node, right_node, left, right);
  return left != nullptr ? left : right;
}

/// The number of shards of a batch of `batch` rows when --shards is not given:
/// min(1024, max(1, bit_floor(b/128), min(4, bit_floor(b/32)))).
std::int64_t default_shards(std::int64_t batch);

}  // namespace trainer
