#pragma once

#include <barrier>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "trainer/core/tree.h"
#include "trainer/nn/pass.h"

namespace trainer::nn::simulation {

/// The fold of a simulated job: ranks are threads of this process, each with its maximal subtrees of the tree
/// over the shards.
class ThreadFold {
 public:
  ThreadFold(std::int64_t shards, std::vector<std::vector<Range>> pieces_of_ranks);
  ~ThreadFold();
  void set_batch(std::int64_t batch) { batch_ = batch; }
  ShardFold& of(std::size_t rank);
  /// A rank that failed takes no further part, so that the others do not wait for it.
  void leave() { barrier_.arrive_and_drop(); }

  /// Folds one value a piece over the tree; `find(rank, piece)` gives the value of a piece that has rows.
  template <class T, class Find, class Combine>
  std::optional<T> fold(Range node, const Find& find, const Combine& combine) const {
    if (const auto owner = owners_.find({node.begin, node.end}); owner != owners_.end()) {
      if (!TrainingPass::present(node, batch_, shards_)) return std::nullopt;
      return find(owner->second.first, owner->second.second);
    }
    const std::int64_t middle = tree_cut(node);
    const Range left_node{node.begin, middle}, right_node{middle, node.end};
    std::optional<T> left = fold<T>(left_node, find, combine), right = fold<T>(right_node, find, combine);
    if (!left) return right;
    if (right) combine(left_node, right_node, *left, *right);
    return left;
  }

 private:
  class Member;
  std::int64_t shards_;
  std::int64_t batch_ = 0;
  std::map<std::pair<std::int64_t, std::int64_t>, std::pair<std::size_t, std::size_t>>
      owners_;  // node -> (rank, piece)
  std::barrier<> barrier_;
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace trainer::nn::simulation
