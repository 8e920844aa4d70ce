#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/function_ref.h"
#include "trainer/core/tree.h"

namespace trainer::comm {

/// How the S leaves of the fixed tree lie on the ranks: rank r holds the contiguous run runs[r], that is the
/// maximal subtrees
/// ("pieces") pieces[r]. A pure function of (leaves, ranks), the same on every rank.
struct TreeDeal {
  TreeDeal(std::int64_t leaves, int ranks);
  std::int64_t leaves;
  std::vector<Range> runs;                 ///< by rank
  std::vector<std::vector<Range>> pieces;  ///< by rank
};

/// Small reductions: every rank's pieces are gathered by all, and everyone folds them in the tree's order.
/// T is any trivially copyable record; combine(T left, T right) -> T. A piece is absent when `present(Range)`
/// is false (all its leaves are empty); presence must be the same function on every rank.
class SmallFold {
 public:
  /// Collective. `bytes_per_piece` is the size of one record, the same for all ranks.
  SmallFold(const Communicator& ranks, const TreeDeal& deal, std::int64_t bytes_per_piece);
  ~SmallFold();
  SmallFold(SmallFold&&) noexcept;

  /// Collective, does not wait: starts the gathering. `mine` holds this rank's pieces, one record after the
  /// other (copied).
  void start(const void* mine);
  /// Collective. Waits; returns all pieces, by rank then by piece, each bytes_per_piece long; valid until the
  /// next start().
  const std::byte* finish();
  /// The index of a piece in finish()'s array, or -1 when `node` is no rank's piece.
  std::int64_t index_of(Range node) const;
  std::int64_t bytes_sent() const;  ///< payload sent by this rank, since construction

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One layer's parameters in the flat parameter vector.
struct Segment {
  std::int64_t offset = 0;  ///< first float of the layer
  std::int64_t size = 0;    ///< floats
  /// Where its tensors begin, counted from `offset`, ascending, the first at 0; empty: one tensor.
  std::vector<std::int64_t> tensors = {};
};

/// The blocks of a layer, in order: each tensor cut into runs of `block` floats (the last may be shorter), as
/// floats of the flat vector. They are what slices are made of and norms are summed over.
std::vector<Range> blocks_of(const Segment& layer, std::int64_t block);

class SharedPieces;

/// The all-reduce of gradients as reduce-scatter and all-gather, in the order of the fixed tree, for any
/// number of ranks and leaves: every rank sends its subtrees' sums of each slice to the slice's owner, which
/// folds the top of the tree, and after the update sends the slice's parameters to all. Bytes sent per rank:
/// 2(N-1)/N of the parameters when N and S are powers of two. A rank's own pieces are folded where they lie:
/// never copied, never sent to itself.
///
///     begin_step -> for each layer: send_gradient ... wait_gradient, fold, share_parameters ...
///     wait_parameters -> end_step
///
/// All calls but fold() by one thread; every rank makes the same calls for the same layers, in any order of
/// layers. Only the functions named wait_ and end_step wait. When an exception leaves a step unfinished, the
/// exchange is of no further use and can only be destroyed, which does not wait.
class GradientExchange {
 public:
  /// Collective. `block`: slices are whole blocks of so many floats (blocks_of). Slices are cut so that every
  /// rank owns, over all segments together, the same number of blocks, give or take one. Messages are at most
  /// `largest_message` floats (at most 2^28). With `pieces` gradients lie there; whoever can read a piece
  /// there folds it where it lies, and is sent no more than a word that it is ready.
  GradientExchange(const Communicator& ranks, const TreeDeal& deal, std::vector<Segment> layers,
                   std::int64_t block, std::int64_t largest_message = kLargest,
                   const SharedPieces* pieces = nullptr);
  static constexpr std::int64_t kLargest = std::int64_t{1} << 28;
  ~GradientExchange();
  GradientExchange(GradientExchange&&) noexcept;

  /// The floats [begin, end) of the flat vector that this rank owns in `layer` (may be empty).
  Range own_slice(int layer) const;
  /// The same for any rank.
  Range slice(int layer, int rank) const;

  /// Begins a step: `present(node)` tells whether a piece has any rows in this step's batch. Posts all
  /// receives of the gradient pieces.
  void begin_step(FunctionRef<bool(Range)> present);
  /// This rank's sums of `layer` are ready: pieces[j] points to the float at the layer's segment offset of
  /// this rank's piece j (null: absent). The memory is read by others until end_step, and by fold(): it must
  /// stay as it is until then. (Others have folded it when their parameters are here, for which end_step
  /// waits.)
  void send_gradient(int layer, std::span<const float* const> pieces);
  /// Waits for all pieces of this rank's own slice of `layer`; then fold() may be called. After
  /// send_gradient(layer).
  void wait_gradient(int layer);
  /// Whether they are all here, so that wait_gradient(layer) would not wait.
  bool has_gradient(int layer);
  /// sum[i] = the tree's fold of element own_slice(layer).begin + begin + i, for i < count; 0 when no piece
  /// at all has rows. After wait_gradient(layer). Thread-safe; no communication; any cut into stretches gives
  /// the same bits.
  void fold(int layer, std::int64_t begin, std::int64_t count, float* sum) const;
  /// Sends this rank's updated slice of `layer` from `parameters` (the flat vector) to all and receives the
  /// others' into it. Does not wait. Until wait_parameters(layer), the layer's own slice must not be changed,
  /// nor the others' be read.
  void share_parameters(int layer, float* parameters);
  /// Waits until every slice of `layer` is here and this rank's is sent.
  void wait_parameters(int layer);
  /// Whether wait_parameters(layer) would not wait.
  bool has_parameters(int layer);
  /// Waits for all that is in flight. Until then the memory given to send_gradient must stay as it is; other
  /// work, the next step's forward pass for one, may go on in between.
  void end_step();
  /// Lets messages in flight advance. Cheap.
  void poll() const;

  /// Payload given to others by this rank, since construction; what they read where it lies counts, too.
  std::int64_t bytes_sent() const;
  std::int64_t bytes_sent_last_step() const;  ///< between the last begin_step and its end_step
  std::int64_t buffer_bytes() const;          ///< memory held for the others' pieces of this rank's slices

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
