#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "trainer/comm/communicator.h"

namespace trainer::comm {

/// Where the memory that ranks of a node share would lie, and how much of it a SharedArray may take now.
struct SharedRoom {
  std::string folder;
  std::int64_t bytes = 0;
};
/// Not collective; the first rank of the node decides.
SharedRoom shared_room();

/// One read-only copy of data per node: memory shared by the node's ranks (MPI shared-memory window), filled
/// once. Falls back to a private copy on every rank when the node cannot share so much (a small /dev/shm).
/// Move-only.
class SharedArray {
 public:
  /// Collective over the node's ranks; `bytes` is the same on all. The data are aligned to 64 bytes. With
  /// allow_shared false every rank gets a private copy. Throws Error(internal) on all of them when memory is
  /// not to be had.
  SharedArray(const Communicator& node, std::int64_t bytes, bool allow_shared = true);
  ~SharedArray();  ///< Collective, unless an exception is on its way: then the memory is left to the end of
                   ///< the process.
  SharedArray(SharedArray&&) noexcept;
  SharedArray& operator=(SharedArray&&) noexcept;

  std::byte* data();
  const std::byte* data() const;
  std::int64_t bytes() const;
  /// False for a node of one rank, too: its only copy is private.
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
