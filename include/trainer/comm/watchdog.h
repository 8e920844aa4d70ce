#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace trainer::comm {

/// Ends the job when a rank is stopped, hangs or never arrives. One for all communicators that come from one
/// Environment. A rank that waits long for others asks all ranks for a sign of life, again and again; every
/// rank answers as soon as it waits, polls or ends a step. A rank that is silent for longer than the limit is
/// missing: the wait throws Error(communication), which names the missing ranks. Where MPI itself blocks
/// (MPI_Init_thread, MPI_Comm_split, MPI_Finalize and the like) nothing can be thrown: the process prints one
/// line and ends with exit code 4, which ends the job.
///
/// While nobody waits longer than a twentieth of a second there is no message and next to no cost.
/// Only the thread that calls MPI may call this. Nothing here is collective.
class Watchdog {
 public:
  static constexpr double kDefaultLimitSeconds = 300;

  /// Watches nothing: a process alone.
  explicit Watchdog(double limit_seconds = kDefaultLimitSeconds);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// How long a rank may be silent; infinity: for ever. Throws Error(usage) unless it is above 0.
  void set_limit(double seconds);
  /// The limit in force: the one given, or 20 times the longest step so far if that is longer.
  double limit_seconds() const;

  /// What this rank does, as it stands in the message ("step 120", "evaluation"): `what` must be a literal
  /// (it is kept, not copied); a number below 0 is left out. Cheap enough for every step.
  void set_phase(const char* what, std::int64_t number = -1) {
    phase_ = what;
    phase_number_ = number;
  }
  std::string phase() const;

  /// This rank has ended a step that took so long, waiting included. Cheap; once a step.
  void step_took(double seconds);

  /// For the other files of this room.
  struct State;
  State& state() const { return *state_; }

 private:
  const char* phase_ = "the start";
  std::int64_t phase_number_ = -1;
  double given_limit_ = kDefaultLimitSeconds;
  double longest_step_ = 0;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
