#include "trainer/comm/watchdog.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "checked.h"
#include "deadline.h"
#include "rank_list.h"
#include "requests.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "watch.h"

namespace trainer::comm {

namespace {

constexpr int kQuestion = 1;
constexpr int kAnswer = 2;

/// How many ranks before this one could say what is wrong; each is given some seconds to do so.
double seconds_to_hold_back(std::int64_t ranks_before) {
  constexpr std::int64_t kMostSteps = 5;
  constexpr double kSecondsPerRank = 2;
  return kSecondsPerRank * static_cast<double>(std::min(ranks_before, kMostSteps));
}

/// What follows an error of the watchdog may hang as well (a thread that writes to a dead disk is waited
/// for).
[[noreturn]] void fail_and_end(int rank, const std::string& message) {
  constexpr double kSecondsToEnd = 20;
  end_process_within(kSecondsToEnd, text("rank ", rank, " on ", host_name(), ": ", message),
                     static_cast<int>(ErrorKind::communication));
  fail(ErrorKind::communication, message);
}

}  // namespace

Watchdog::Watchdog(double limit_seconds) : state_(std::make_unique<State>()) { set_limit(limit_seconds); }
Watchdog::~Watchdog() = default;

void Watchdog::set_limit(double seconds) {
  require(seconds > 0, ErrorKind::usage, "the stall time-out is ", seconds, " s; it must be above 0");
  given_limit_ = seconds;
}

double Watchdog::limit_seconds() const {
  constexpr double kSteps = 20;
  return std::max(given_limit_, kSteps * longest_step_);
}

std::string Watchdog::phase() const { return phase_number_ < 0 ? phase_ : text(phase_, " ", phase_number_); }

void Watchdog::step_took(double seconds) {
  longest_step_ = std::max(longest_step_, seconds);
  state_->hear(0);
}

Watchdog::State::~State() {
  if (!is_watching()) return;
  // Not stopped: the job is failing. MPI may still read from what is on its way, so it is left there.
  static_cast<void>(questions.release());
  static_cast<void>(answers.release());
}

void Watchdog::State::start(const Watchdog& watchdog) {
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  if (size == 1) return;
  const Deadline deadline(watchdog, "MPI_Comm_dup", rank);
  MPI_Comm own = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &own), "MPI_Comm_dup");
  check(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  const auto n = static_cast<std::size_t>(size);
  using Name = std::array<char, 64>;
  Name name{};
  host_name().copy(name.data(), name.size() - 1);
  std::vector<Name> names(n);
  check(MPI_Allgather(name.data(), sizeof(Name), MPI_BYTE, names.data(), sizeof(Name), MPI_BYTE, own),
        "MPI_Allgather");
  for (const Name& each : names) hosts.emplace_back(each.data());
  heard.assign(n, 0);
  waited.assign(n, 0);
  questions->resize(n);
  answers->resize(n);
  sent.assign(n, 0);
  ranks = own;
}

void Watchdog::State::stop(Watchdog& watchdog) {
  if (!is_watching()) return;
  RequestSet arrival;
  check(MPI_Ibarrier(ranks, arrival.add()), "MPI_Ibarrier");
  wait(arrival, watchdog);
  const Deadline deadline(watchdog, "MPI_Comm_free", rank);
  receive_left_over();
  check(MPI_Comm_free(&ranks), "MPI_Comm_free");  // sets it to null
}

/// Collective. A rank that has passed the barrier neither asks nor answers any more, so what it has sent is
/// final. What is not received would be left to MPI_Finalize.
void Watchdog::State::receive_left_over() {
  std::int64_t expected = 0;
  check(MPI_Reduce_scatter_block(sent.data(), &expected, 1, MPI_INT64_T, MPI_SUM, ranks),
        "MPI_Reduce_scatter_block");
  for (; received < expected; ++received) {
    double ignored = 0;
    check(MPI_Recv(&ignored, 1, MPI_DOUBLE, MPI_ANY_SOURCE, MPI_ANY_TAG, ranks, MPI_STATUS_IGNORE),
          "MPI_Recv");
  }
  for (std::vector<Slot>* slots : {questions.get(), answers.get()}) {
    for (Slot& slot : *slots) check(MPI_Wait(&slot.request, MPI_STATUS_IGNORE), "MPI_Wait");
  }
}

void Watchdog::State::send(Slot& slot, int destination, int tag, double waited_now) {
  int done = 0;
  check(MPI_Test(&slot.request, &done, MPI_STATUS_IGNORE), "MPI_Test");
  if (done == 0) return;
  slot.waited = waited_now;
  // Not checked: a rank that cannot be reached stays silent, and is named for it.
  if (MPI_Isend(&slot.waited, 1, MPI_DOUBLE, destination, tag, ranks, &slot.request) != MPI_SUCCESS) {
    slot.request = MPI_REQUEST_NULL;
    return;
  }
  ++sent[static_cast<std::size_t>(destination)];
}

void Watchdog::State::hear(double waited_now) {
  if (!is_watching()) return;
  // What a probe brings in, the next one finds.
  for (int misses = 0; misses < 2;) {
    MPI_Status status;
    int found = 0;
    check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ranks, &found, &status), "MPI_Iprobe");
    if (found == 0) {
      ++misses;
      continue;
    }
    const auto source = static_cast<std::size_t>(status.MPI_SOURCE);
    check(
        MPI_Recv(&waited[source], 1, MPI_DOUBLE, status.MPI_SOURCE, status.MPI_TAG, ranks, MPI_STATUS_IGNORE),
        "MPI_Recv");
    ++received;
    heard[source] = waited_now;
    if (status.MPI_TAG == kQuestion) send((*answers)[source], status.MPI_SOURCE, kAnswer, waited_now);
  }
}

void Watchdog::State::begin_wait() {
  std::fill(heard.begin(), heard.end(), 0);
  std::fill(waited.begin(), waited.end(), 0);
}

void Watchdog::State::ask(double waited_now) {
  for (int other = 0; other < size; ++other) {
    if (other != rank) send((*questions)[static_cast<std::size_t>(other)], other, kQuestion, waited_now);
  }
}

void Watchdog::State::judge(const Watchdog& watchdog, double waited_now) const {
  const double limit = watchdog.limit_seconds();
  if (waited_now < limit) return;
  std::vector<std::int64_t> missing(hosts.size(), 0);
  std::int64_t ranks_before = 0;
  double shortest_wait = waited_now;
  for (std::size_t other = 0; other < hosts.size(); ++other) {
    if (other == static_cast<std::size_t>(rank)) continue;
    missing[other] = static_cast<std::int64_t>(waited_now - heard[other] >= limit);
    if (missing[other] == 0 && other < static_cast<std::size_t>(rank)) ++ranks_before;
    shortest_wait = std::min(shortest_wait, waited[other]);
  }
  const double patience = seconds_to_hold_back(ranks_before);
  const std::string place = text(" in ", watchdog.phase(), "; the job cannot go on. ");
  if (std::count(missing.begin(), missing.end(), 1) > 0) {
    if (waited_now < limit + patience) return;
    fail_and_end(rank, text("no answer for ", limit, " s from ", list_ranks(missing, hosts), place,
                            "A process may be stopped, its node down or its disk hanging; if it is only "
                            "slow, raise --stall-timeout (",
                            watchdog.given_limit_, " s)"));
  }
  // All answer. If all have done nothing but wait, for so long that they did so at the same time, nobody is
  // left who could end it.
  if (shortest_wait < 2 * limit || waited_now < 2 * limit + limit / 2 + patience) return;
  fail_and_end(rank, text("all ranks have waited for each other for ", 2 * limit, " s", place,
                          "The network may have lost a message; start again from the last checkpoint"));
}

void Patience::look() {
  constexpr double kLongestStretch = 1;  // seconds between two looks that count
  constexpr double kSecondsBetweenAttention = 0.05;
  constexpr double kQuestionsPerLimit = 4;
  const Clock::time_point now = Clock::now();
  const double stretch = std::chrono::duration<double>(now - last_look_).count();
  last_look_ = now;
  if (waited_ < 0) {
    waited_ = 0;
    next_attention_ = kSecondsBetweenAttention;
    next_question_ = watchdog_.limit_seconds() / kQuestionsPerLimit;
    return;
  }
  waited_ += std::min(stretch, kLongestStretch);
  Watchdog::State& state = watchdog_.state();
  if (waited_ < next_attention_ || !state.is_watching()) return;
  if (next_attention_ <= kSecondsBetweenAttention) state.begin_wait();
  next_attention_ = waited_ + kSecondsBetweenAttention;
  state.hear(waited_);
  if (waited_ >= next_question_) {
    next_question_ = waited_ + watchdog_.limit_seconds() / kQuestionsPerLimit;
    state.ask(waited_);
  }
  state.judge(watchdog_, waited_);
}

}  // namespace trainer::comm
