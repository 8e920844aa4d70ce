#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/core/tree.h"

namespace trainer::comm {

/// The fold of the fixed tree over the pieces that are present, as a list of elementwise additions: worked
/// out once for each pattern of presence, then run over any stretch of floats without allocating. Absent
/// pieces are left out (absent + x = x; adding a zero would turn -0 into +0).
class FoldProgram {
 public:
  /// `nodes`: the pieces, in the order of their leaves, which are together all of [0, leaves); `present[i]`:
  /// nodes[i] has rows.
  FoldProgram(std::int64_t leaves, std::span<const Range> nodes, const std::vector<bool>& present);

  /// sum[i] = the fold of slots[k][begin + i] over the present k, for i < count; 0 where no piece is present.
  /// slots[k] of an absent piece is not read. `sum` overlaps no slot. Thread-safe.
  void run(std::span<const float* const> slots, std::int64_t begin, std::int64_t count, float* sum) const;

 private:
  /// A value: piece `index`, or register `index` (register 0 is the output).
  struct Operand {
    bool is_register = false;
    int index = -1;  ///< -1: absent
  };
  /// register[target] = left + right.
  struct Addition {
    int target;
    Operand left;
    Operand right;
  };

  Operand plan(Range node, std::span<const Range> nodes, const std::vector<bool>& present, int free_register);

  std::vector<Addition> additions_;
  Operand result_;
};

}  // namespace trainer::comm
