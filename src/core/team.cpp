#include "trainer/core/team.h"

#include <omp.h>

#include <atomic>
#include <exception>
#include <thread>

#include "trainer/core/error.h"

namespace trainer {
namespace {

using Work = FunctionRef<void(std::int64_t, int)>;
using Poll = std::function<void()>;

/// One run(): the units that are left, the threads that still work, the first exception.
class Loop {
 public:
  Loop(std::int64_t units, Work work, const Poll& poll) : units_(units), work_(work), poll_(poll) {}

  /// Takes part as `thread` of `threads`, until no unit is left; thread 0 polls until nobody works.
  void take_part(int thread, int threads) noexcept {
    try {
      take_units(thread);
      if (thread == 0 && poll_) poll_until_done(threads - 1);
    } catch (...) {
      keep_first_exception();
    }
    if (thread != 0) helpers_done_.fetch_add(1, std::memory_order_release);
  }

  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  void take_units(int thread) {
    for (;;) {
      const std::int64_t unit = next_.fetch_add(1, std::memory_order_relaxed);
      if (unit >= units_ || failed_.load(std::memory_order_relaxed)) return;
      work_(unit, thread);
      if (thread == 0 && poll_) poll_();
    }
  }

  void poll_until_done(int helpers) {
    while (helpers_done_.load(std::memory_order_acquire) < helpers) {
      poll_();
      std::this_thread::yield();
    }
  }

  void keep_first_exception() noexcept {
    if (!failed_.exchange(true, std::memory_order_relaxed)) exception_ = std::current_exception();
  }

  const std::int64_t units_;
  const Work work_;
  const Poll& poll_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<int> helpers_done_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr exception_;  // written by one thread, read after the region's barrier
};

}  // namespace

Team::Team(int threads) : threads_(threads) {
  require(threads >= 1, ErrorKind::internal, "a team of ", threads, " threads was asked for");
}

void Team::run(std::int64_t units, Work work) const {
  if (units <= 0) return;
  Loop loop(units, work, poll_);
  if (threads_ == 1 || units == 1) {  // to wake the others would take longer than they could help
    loop.take_part(0, 1);
  } else {
    // OpenMP may give fewer threads than asked for: the units go round all the same.
#pragma omp parallel num_threads(threads_)
    loop.take_part(omp_get_thread_num(), omp_get_num_threads());
  }
  loop.rethrow();
}

void make_unnamed_teams_serial() { omp_set_num_threads(1); }

}  // namespace trainer
