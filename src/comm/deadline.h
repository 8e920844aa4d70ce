#pragma once

#include <string>

#include "trainer/comm/watchdog.h"

namespace trainer::comm {

/// While it lives, a call of MPI that blocks may take no longer than the watchdog's limit: then the process
/// prints a line that names `call`, and ends with exit code 4, which makes the launcher end the job. Of
/// several ranks in the same call the first one prints, the others follow only if that does not end them.
/// Counts the seconds in which the process could run: a job that was suspended is not late. Not to be nested.
class Deadline {
 public:
  Deadline(const Watchdog& watchdog, const char* call, int rank);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  bool armed_ = false;
};

/// From now on the process has `seconds` left to end by itself: then it prints `message` (nothing: none) and
/// ends with the exit code.
void end_process_within(double seconds, const std::string& message, int exit_code);

/// Prints `message` and ends the job with exit code 4: for where nothing can be thrown.
[[noreturn]] void end_job(const std::string& message);

}  // namespace trainer::comm
