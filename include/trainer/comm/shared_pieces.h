#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "trainer/comm/tree_exchange.h"

namespace trainer::comm {

/// Memory for the gradients of every rank's pieces, that the ranks of one node can read where it lies: one
/// flat vector for each piece of a TreeDeal. What a node cannot share (a small /dev/shm), and a node of one
/// rank, is private. Zeros at first.
class SharedPieces {
 public:
  /// Collective. `floats`: of a flat vector. With `allow_shared` false all memory is private.
  SharedPieces(const Communicator& ranks, const TreeDeal& deal, std::int64_t floats,
               bool allow_shared = true);
  ~SharedPieces();  ///< Collective over the node's ranks, unless an exception is on its way: see SharedArray.
  SharedPieces(SharedPieces&&) noexcept;

  /// This rank's piece: [floats].
  float* mine(std::size_t piece);
  /// Piece `piece` of any rank, where this rank can read it; else null. Of others it may be read when the
  /// rank has told that it is there.
  const float* of(int rank, std::size_t piece) const;
  std::int64_t memory_bytes() const;  ///< of this rank's pieces

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
