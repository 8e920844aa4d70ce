#pragma once

#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/comm/watchdog.h"

namespace trainer::comm {

/// Signs of life among all ranks of the job, on a communicator of their own: questions and answers, each a
/// few bytes that say how long the sender has been waiting. A question goes from a rank that waits to all
/// others: if all ranks wait for one, N^2 tiny messages, four times in the limit.
struct Watchdog::State {
  ~State();
  /// Collective. Before it, and without it, nothing is watched.
  void start(const Watchdog& watchdog);
  /// Collective: meets all ranks, and receives what is still on its way.
  void stop(Watchdog& watchdog);
  bool is_watching() const { return ranks != MPI_COMM_NULL; }

  /// To be called wherever a rank passes often: answers now and then.
  void pass() {
    constexpr unsigned kPassesBetweenAnswers = 64;
    if (++passes % kPassesBetweenAnswers == 0) hear(0);
  }
  /// Receives what has come and answers the questions; `waited` seconds is how long this rank has waited.
  void hear(double waited);
  /// A new wait begins: nobody is silent yet.
  void begin_wait();
  void ask(double waited);
  /// Throws Error(communication) when a rank is missing, and this rank is to say so.
  void judge(const Watchdog& watchdog, double waited) const;

  /// A message on its way to one rank. While it is, there is no second: a rank that is stopped takes none.
  struct Slot {
    MPI_Request request = MPI_REQUEST_NULL;
    double waited = 0;
  };
  void send(Slot& slot, int destination, int tag, double waited);
  void receive_left_over();

  MPI_Comm ranks = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  std::vector<std::string> hosts;
  unsigned passes = 0;
  // By rank, in this wait; seconds since it began.
  std::vector<double> heard;   // when it was last heard of
  std::vector<double> waited;  // how long it said that it had been waiting
  // By rank, since the start.
  std::unique_ptr<std::vector<Slot>> questions = std::make_unique<std::vector<Slot>>();
  std::unique_ptr<std::vector<Slot>> answers = std::make_unique<std::vector<Slot>>();
  std::vector<std::int64_t> sent;
  std::int64_t received = 0;
};

/// One wait for other ranks, as the watchdog sees it. Counts the time in which this process ran: the hours of
/// a job that was suspended are nobody's silence.
class Patience {
 public:
  explicit Patience(Watchdog& watchdog) : watchdog_(watchdog) { watchdog.state().pass(); }
  /// Nothing has come yet. Throws Error(communication) when a rank is missing.
  void poll() {
    constexpr int kPollsBetweenLooks = 64;  // looking at the clock takes a tenth of a poll
    if (++polls_ % kPollsBetweenLooks == 0) look();
  }
  /// Something has come: a new wait begins.
  void progressed() {
    polls_ = 0;
    waited_ = -1;
  }

 private:
  using Clock = std::chrono::steady_clock;
  void look();

  Watchdog& watchdog_;
  unsigned polls_ = 0;
  double waited_ = -1;  // seconds; below 0: not begun
  double next_attention_ = 0;
  double next_question_ = 0;
  Clock::time_point last_look_;
};

}  // namespace trainer::comm
