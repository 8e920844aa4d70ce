#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/comm/watchdog.h"

namespace trainer::comm {

/// Owns the requests of operations in flight, and pins the buffers given to pin() until they are done.
/// Move-only. Buffers that are not pinned must outlive the wait. A set that is destroyed while operations are
/// active (only when an exception is on its way, or by a defect) leaves them and the pinned buffers to the
/// end of the process: memory that MPI may still write to is never freed.
class RequestSet {
 public:
  RequestSet() = default;
  ~RequestSet();
  RequestSet(RequestSet&&) noexcept = default;
  RequestSet& operator=(RequestSet&&) = delete;
  RequestSet(const RequestSet&) = delete;

  /// A slot for the request of the next operation; `expected_bytes` is the size that a received message must
  /// have (-1: not checked).
  MPI_Request* add(std::int64_t expected_bytes = -1);
  /// Keeps `buffer` alive until the operations are done.
  void pin(std::shared_ptr<void> buffer) { pinned_.push_back(std::move(buffer)); }
  bool is_active() const { return !entries_.empty(); }

 private:
  friend void wait(RequestSet& requests, Watchdog& watchdog);
  friend bool test(RequestSet& requests);
  struct Entry {
    MPI_Request request;
    std::int64_t expected_bytes;
  };
  /// Whether the first operation that is not done yet is done now; then it is behind us.
  bool complete_next();
  bool is_complete() const { return completed_ == entries_.size(); }
  void clear();

  std::vector<Entry> entries_;
  std::size_t completed_ = 0;  ///< of entries_, from the first on
  std::vector<std::shared_ptr<void>> pinned_;
};

/// Waits until all operations of the set are done, and empties it. The one loop in which a rank waits for
/// others. Messages of all other operations advance meanwhile; the processor is given up to whoever else
/// wants it. Throws Error(communication) when the watchdog finds a rank missing.
void wait(RequestSet& requests, Watchdog& watchdog);

/// Whether all operations of the set are done; then it is empty. Does not wait; messages of all other
/// operations advance meanwhile.
bool test(RequestSet& requests);

/// Starts sending or receiving `bytes` bytes, in messages of at most `largest` bytes, which arrive in the
/// order they were sent.
void send(RequestSet& requests, MPI_Comm ranks, const void* data, std::int64_t bytes, int destination,
          int tag, std::int64_t largest);
void receive(RequestSet& requests, MPI_Comm ranks, void* data, std::int64_t bytes, int source, int tag,
             std::int64_t largest);

/// The largest message in bytes where nothing else is asked for: MPI counts in int.
inline constexpr std::int64_t kLargestMessage = std::int64_t{1} << 30;

}  // namespace trainer::comm
