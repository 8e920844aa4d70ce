#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/comm/watchdog.h"

namespace trainer::comm {

/// Owns MPI's life: initialised in the constructor, finalised in the destructor. One per process, made in
/// main.
class Environment {
 public:
  /// MPI_Init_thread with MPI_THREAD_FUNNELED: only the thread that constructs this may call anything of this
  /// room. Errors of MPI become exceptions (MPI_ERRORS_RETURN). Throws Error(communication) when less than
  /// FUNNELED is provided, and when the process was started N times as single processes (MPI size 1 while
  /// OMPI_COMM_WORLD_SIZE, PMI_SIZE or SLURM_NTASKS says more). Where MPI is initialised already (a host
  /// program, a test) it is borrowed: checked, but not finalised. Collective, in both cases: the watchdog is
  /// started, with this limit, which holds for MPI_Init_thread already.
  Environment(int* argc, char*** argv, double stall_limit_seconds = Watchdog::kDefaultLimitSeconds);
  /// Collective (MPI_Finalize), unless an exception is on its way: then the other ranks are not there, and
  /// nothing is called. When a rank is missing here, too, the process prints the watchdog's line and ends the
  /// job with exit code 4.
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  friend class Communicator;
  bool owned_ = true;
  std::shared_ptr<Watchdog> watchdog_;
};

/// A group of ranks: owned (freed at destruction) or the world (borrowed). Move-only.
/// Every function throws Error(communication) with MPI's own text when MPI fails, and every collective one
/// when the watchdog finds a rank missing.
class Communicator {
 public:
  static Communicator world(const Environment&);
  /// A group of this process alone that never calls MPI: for what must work where MPI is forbidden (login
  /// nodes). Its collective functions and SharedArray work; the exchanges of tree_exchange.h need MPI.
  static Communicator alone();
  /// Collective for an owned group, unless an exception is on its way: then the group is leaked.
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  bool is_alone() const;  ///< made by alone()
  int rank() const;
  int size() const;
  /// The watchdog of the Environment that this group comes from: one for all its groups.
  Watchdog& watchdog() const;
  /// Collective. The ranks of one colour form a group, ordered by rank.
  Communicator split(int colour) const;
  /// Collective. The same ranks with message traffic of their own.
  Communicator duplicate() const;
  /// Collective. The ranks that share this rank's memory (one node).
  Communicator node() const;

  /// Collective.
  void barrier() const;
  /// Collective. `bytes` bytes from rank `root` to all; any size (sent in pieces under 1 GiB).
  void broadcast(void* data, std::int64_t bytes, int root) const;
  std::string broadcast(std::string characters, int root) const;
  /// Collective. Every rank's text, by rank, on every rank.
  std::vector<std::string> all_gather(const std::string& mine) const;
  /// Collective. Every rank's value, by rank, on every rank.
  std::vector<double> all_gather(double mine) const;
  std::vector<std::int64_t> all_gather(std::int64_t mine) const;
  /// Collective. pieces[k] (a different size on each rank) of every rank, concatenated by rank, on rank
  /// `root` only (empty elsewhere). Any size.
  std::vector<float> gather(const float* mine, std::int64_t count, int root) const;

  /// Collective. values[i] becomes the sum of all ranks' values[i]; as many of them on every rank, any number
  /// (sent in pieces under 1 GiB).
  void sum(std::span<std::int64_t> values) const;

  /// Lets messages in flight advance. Cheap; called between units of work.
  void poll() const;
  /// Ends the whole job at once with this exit code (1..125). Not collective. Never returns.
  [[noreturn]] void abort(int exit_code) const;

  /// The MPI communicator, as a pointer to MPI_Comm: for the other files of this room and for tests.
  void* handle() const;

 private:
  struct State;
  explicit Communicator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
