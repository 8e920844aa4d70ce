#pragma once

#include <cstdint>
#include <functional>

#include "trainer/core/function_ref.h"

namespace trainer {

/// The threads of one rank. Work is given as independent units; the threads take them in any order, so a
/// unit's result must depend on the unit alone. The calling thread takes part and, between its units, calls
/// the poll function, so that messages advance.
class Team {
 public:
  /// `threads` >= 1. An OpenMP team of that size is named explicitly in every region.
  explicit Team(int threads);
  int size() const { return threads_; }
  /// Called by the calling thread only, between units, in every later run().
  void set_poll(std::function<void()> poll) { poll_ = std::move(poll); }
  /// Calls work(unit, thread) for every unit in [0, units), thread in [0, size()); returns when all are done.
  /// An exception from a unit ends the loop early and is rethrown here (the first one).
  void run(std::int64_t units, FunctionRef<void(std::int64_t unit, int thread)> work) const;

 private:
  int threads_;
  std::function<void()> poll_;
};

/// Must be the first statement of main: makes every OpenMP region that does not name its team serial,
/// oneDNN's own included.
void make_unnamed_teams_serial();

}  // namespace trainer
