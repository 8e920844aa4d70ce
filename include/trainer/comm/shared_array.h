#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "trainer/comm/communicator.h"

namespace trainer::comm {

/// One read-only copy of data per node: memory shared by the node's ranks (MPI shared-memory window), filled once.
/// Falls back to a private copy on every rank when the node cannot share so much (a small /dev/shm).
class SharedArray {
 public:
  /// Collective over the node's ranks. Throws Error(internal) on all of them when memory is not to be had.
  SharedArray(const Communicator& node, std::int64_t bytes);
  ~SharedArray();  ///< not collective in effect: never waits while unwinding
  SharedArray(SharedArray&&) noexcept;
  SharedArray& operator=(SharedArray&&) noexcept;

  std::byte* data();
  const std::byte* data() const;
  std::int64_t bytes() const;
  bool is_shared() const;
  /// True on the ranks that must fill the array: the node's first, or every rank when it is not shared.
  bool fills() const;
  /// Collective over the node's ranks, once the array is filled: what was written is seen by all.
  void publish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
