#pragma once

// The gradient of a dense layer's weights and biases by a kernel of our own for AVX-512 and AVX2: the sums
// over a shard's rows stand in registers, the tree over the shards is folded in the first-level cache, and a
// gradient is written once. Private to this room.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "trainer/core/tree.h"
#include "trainer/nn/network.h"

namespace trainer::nn {

/// A shard that has rows, in a fold over shards from the left to the right: once its sum is there, it is
/// added `folds` times to the partial sum that was set aside last.
struct Leaf {
  Range rows;  ///< local, at least one
  int folds = 0;
};

/// The fixed tree over `node` as its leaves in order; shards without rows are absent.
std::vector<Leaf> leaves_of(Range node, const std::function<Range(std::int64_t shard)>& rows_of);

/// How many partial sums stand aside at most.
std::int64_t most_set_aside(std::span<const Leaf> leaves);

/// One layer's kernel. An element of a shard's gradient is the sum of x dy over the shard's rows in ascending
/// order, by fused multiply-add from 0: its bits depend on nothing else. The bias is the weight of a further
/// input that is always 1. In bf16 x and dy are rounded, and rows are taken two at a time from the shard's
/// first on (zeros stand beside an odd last one); sums are in f32.
class WeightGradient {
 public:
  /// What stands in registers: a block of inputs x a panel of outputs, in vectors of so many lanes.
  struct Block {
    std::int64_t inputs = 0, outputs = 0, lanes = 0;
    bool operator==(const Block&) const = default;
  };
  static constexpr std::int64_t kBlockFloats = 12 * 32;  ///< of the largest block and panel

  /// Whether this build, this processor and oneDNN's limit of its instructions allow it.
  static bool possible();
  /// Rows of a shard from which on it measures better than oneDNN's product here.
  static std::int64_t least_rows();

  WeightGradient(std::int64_t inputs, std::int64_t outputs, bool bias, Precision precision = Precision::f32)
      : inputs_(inputs), outputs_(outputs), bias_(bias), precision_(precision), block_(block_here()) {}

  const Block& block() const { return block_; }
  /// Blocks of inputs, the one for the bias among them.
  std::int64_t blocks() const { return (inputs_ + (bias_ ? 1 : 0) + block_.inputs - 1) / block_.inputs; }
  /// Floats that the packed rows take, of which there are at most `capacity`.
  std::int64_t packed_floats(std::int64_t capacity) const;
  /// Brings rows of x [.., inputs] and dy [.., outputs] into the order in which fold() reads them. By any
  /// thread, for different rows. `shard`: the rows of the shard that they belong to; in bf16 pairs are whole
  /// (see whole_pairs()).
  void pack(const float* x, const float* dy, Range rows, Range shard, std::int64_t capacity,
            float* packed) const;

  /// Where the gradient of weights goes: element (input, output) of the ranges below, counted from their
  /// beginnings, to weights[input * stride + output / lanes * next_vector + output % lanes].
  struct Place {
    float* weights = nullptr;
    std::int64_t stride = 0;
    std::int64_t next_vector = 0;
    float* bias = nullptr;  ///< null: no biases are wanted
  };
  /// The gradient of the blocks and of the outputs (from a multiple of a panel on) folded over `leaves` (at
  /// least one), of packed rows. `aside`: kBlockFloats for each partial sum that stands aside.
  void fold(const float* packed, std::int64_t capacity, std::span<const Leaf> leaves, Range blocks,
            Range outputs, float* aside, const Place& place) const;

 private:
  /// Of the instructions that may be used; without lanes: none.
  static Block block_here();
  std::int64_t panels_offset(std::int64_t capacity) const;
  template <std::int64_t kInputs, std::int64_t kOutputs>
  void pack_rows(const float* x, const float* dy, Range rows, std::int64_t capacity, float* packed) const;
  void pack_pairs(const float* x, const float* dy, Range rows, Range shard, std::int64_t capacity,
                  float* packed) const;

  std::int64_t inputs_, outputs_;
  bool bias_;
  Precision precision_;
  Block block_;
};

/// Of some rows of a shard those from whose first one the shard has an even number of rows before; a whole
/// shard's parts cover it again.
Range whole_pairs(Range rows, Range shard);

}  // namespace trainer::nn
