#include "deadline.h"

#include <mpi.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "checked.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"

namespace trainer::comm {

namespace {

constexpr int kExitCode = static_cast<int>(ErrorKind::communication);

/// What the signal handler needs: a process has one timer, so there is one of it. Everything is prepared
/// before `ticks_left` is set.
struct Alarm {
  std::array<char, 1024> line{};
  std::size_t length = 0;
  int exit_code = kExitCode;
  std::atomic<int> ticks_left{0};  // 0: not armed
  struct sigaction before {};      // the handler that was there
};
Alarm alarm_state;  // NOLINT: a signal handler reaches nothing else

void print(const char* line, std::size_t length) {
  while (length > 0) {
    const ssize_t written = write(STDERR_FILENO, line, length);
    if (written <= 0) return;
    line += written;
    length -= static_cast<std::size_t>(written);
  }
}

void on_tick(int) {
  int left = alarm_state.ticks_left.load();
  if (left == 0) return;
  alarm_state.ticks_left.store(--left);
  if (left > 0) return;
  print(alarm_state.line.data(), alarm_state.length);
  _exit(alarm_state.exit_code);
}

std::string as_line(const std::string& message) { return "trainer: error: " + message + "\n"; }

/// Ticks instead of one time: signals that come while a process is stopped become one.
void arm(double seconds, const std::string& message, int exit_code) {
  constexpr double kTickSeconds = 0.25;
  alarm_state.ticks_left.store(0);
  const std::string line = message.empty() ? std::string() : as_line(message);
  alarm_state.length = std::min(line.size(), alarm_state.line.size());
  std::copy_n(line.begin(), alarm_state.length, alarm_state.line.begin());
  alarm_state.exit_code = exit_code;
  struct sigaction action {};
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, &alarm_state.before);
  constexpr double kMostTicks = 1 << 30;
  alarm_state.ticks_left.store(static_cast<int>(std::min(kMostTicks, std::ceil(seconds / kTickSeconds) + 1)));
  const timeval tick{0, static_cast<suseconds_t>(kTickSeconds * 1e6)};
  const itimerval timer{tick, tick};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void disarm() {
  alarm_state.ticks_left.store(0);
  const itimerval off{};
  setitimer(ITIMER_REAL, &off, nullptr);
  sigaction(SIGALRM, &alarm_state.before, nullptr);
}

}  // namespace

Deadline::Deadline(const Watchdog& watchdog, const char* call, int rank) {
  const double limit = watchdog.limit_seconds();
  if (std::isinf(limit)) return;
  // A rank that waits where it can throw comes first: it knows who is missing. Then one rank after the other.
  constexpr double kSecondsPerRank = 2;
  constexpr int kMostSteps = 5;
  arm(limit + 1 + kSecondsPerRank * std::min(rank, kMostSteps),
      text("rank ", rank, " on ", host_name(), ": no answer for ", limit, " s in ", call, " (",
           watchdog.phase(),
           "): a rank of the job is stopped or its node is down; if it is only slow, raise --stall-timeout"),
      kExitCode);
  armed_ = true;
}

Deadline::~Deadline() {
  if (armed_) disarm();
}

void end_process_within(double seconds, const std::string& message, int exit_code) {
  arm(seconds, message, exit_code);
}

void end_job(const std::string& message) {
  const std::string line = as_line(message);
  print(line.data(), line.size());
  constexpr double kSecondsToAbort = 10;
  end_process_within(kSecondsToAbort, "", kExitCode);
  if (is_mpi_alive()) MPI_Abort(MPI_COMM_WORLD, kExitCode);
  _exit(kExitCode);
}

}  // namespace trainer::comm
