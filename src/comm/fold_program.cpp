#include "fold_program.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::comm {

namespace {

// Registers of so many floats live on the stack and in the first-level cache. At most one of them is taken on
// each level of the tree, which is at most 20 levels deep (TreeDeal).
constexpr std::int64_t kFloats = 512;
constexpr int kRegisters = 22;

/// out = left + right, element by element; `out` may be `left` or `right`.
void add(const float* left, const float* right, float* out, std::int64_t count) {
#pragma GCC ivdep  // an exact overlap is harmless element by element
  for (std::int64_t i = 0; i < count; ++i) out[i] = left[i] + right[i];
}

}  // namespace

FoldProgram::FoldProgram(std::int64_t leaves, std::span<const Range> nodes,
                         const std::vector<bool>& present) {
  result_ = plan({0, leaves}, nodes, present, 0);
}

FoldProgram::Operand FoldProgram::plan(Range node, std::span<const Range> nodes,
                                       const std::vector<bool>& present, int free_register) {
  const auto found =
      std::lower_bound(nodes.begin(), nodes.end(), node, [](Range a, Range b) { return a.begin < b.begin; });
  require(found != nodes.end() && free_register < kRegisters, ErrorKind::internal,
          "the pieces of the tree do not cover its leaves ", node.begin, " to ", node.end);
  if (*found == node) {
    const auto index = found - nodes.begin();
    return present[static_cast<std::size_t>(index)] ? Operand{false, static_cast<int>(index)} : Operand{};
  }
  const std::int64_t middle = tree_cut(node);
  const Operand left = plan({node.begin, middle}, nodes, present, free_register);
  const Operand right = plan({middle, node.end}, nodes, present, free_register + (left.is_register ? 1 : 0));
  if (right.index < 0) return left;
  if (left.index < 0) return right;
  additions_.push_back({free_register, left, right});
  return {true, free_register};
}

void FoldProgram::run(std::span<const float* const> slots, std::int64_t begin, std::int64_t count,
                      float* sum) const {
  if (result_.index < 0) {
    std::fill_n(sum, count, 0.0F);
    return;
  }
  if (!result_.is_register) {
    std::copy_n(slots[static_cast<std::size_t>(result_.index)] + begin, count, sum);
    return;
  }
  alignas(64) float registers[kRegisters - 1][kFloats];
  for (std::int64_t done = 0; done < count; done += kFloats) {
    const auto place = [&](int index) { return index == 0 ? sum + done : registers[index - 1]; };
    const auto read = [&](Operand operand) {
      return operand.is_register ? place(operand.index)
                                 : slots[static_cast<std::size_t>(operand.index)] + begin + done;
    };
    const std::int64_t size = std::min(kFloats, count - done);
    for (const Addition& a : additions_) add(read(a.left), read(a.right), place(a.target), size);
  }
}

}  // namespace trainer::comm
