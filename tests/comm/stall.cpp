// A program for the tests of the watchdog: `stall CASE LIMIT_SECONDS RANK...`, where something happens to the
// ranks that are named. Ends as the trainer does: one line on standard error, the job aborted.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/comm/host.h"
#include "trainer/comm/shared_array.h"
#include "trainer/core/error.h"

namespace {

using trainer::comm::Communicator;
using trainer::comm::Environment;

void sleep_seconds(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

struct Case {
  std::string name;
  double limit = 0;
  std::vector<int> chosen;
  bool is_chosen(int rank) const { return std::count(chosen.begin(), chosen.end(), rank) > 0; }
  void stop_if_chosen(int rank) const {
    if (is_chosen(rank)) raise(SIGSTOP);
  }
};

/// Some ranks are stopped, the others wait for them.
void barrier(const Communicator& world, const Case& test) {
  world.barrier();
  world.watchdog().set_phase("step", 120);
  test.stop_if_chosen(world.rank());
  world.barrier();
}

/// Rank 0 waits for rank 1, and that for the others, one of which is stopped.
void chain(const Communicator& world, const Case& test) {
  const Communicator first = world.split(world.rank() <= 1 ? 0 : 1);
  const Communicator others = world.split(world.rank() >= 1 ? 0 : 1);
  test.stop_if_chosen(world.rank());
  if (world.rank() >= 1) others.barrier();
  if (world.rank() <= 1) first.barrier();
  world.barrier();
}

/// A rank is late, but for less than the limit; twice.
void late(const Communicator& world, const Case& test) {
  for (int round = 0; round < 2; ++round) {
    if (test.is_chosen(world.rank())) sleep_seconds(test.limit / 2);
    world.barrier();
  }
}

/// The whole job is suspended for longer than the limit, while all wait for a rank that is late.
void suspended(const Communicator& world, const Case& test) {
  const pid_t self = getpid();
  world.barrier();
  if (fork() == 0) {
    sleep_seconds(test.limit / 4);
    kill(self, SIGSTOP);
    sleep_seconds(2 * test.limit);
    kill(self, SIGCONT);
    _exit(0);
  }
  if (test.is_chosen(world.rank())) sleep_seconds(2.25 * test.limit);
  world.barrier();
}

/// A group of ranks works for longer than the limit, and the others wait for it.
template <class Work>
void group_works(const Communicator& world, const Case& test, const Work& work) {
  const Communicator group = world.split(test.is_chosen(world.rank()) ? 1 : 0);
  if (test.is_chosen(world.rank())) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(3 * test.limit);
    for (bool more = true; more;) {
      work(group);
      std::int64_t left = std::chrono::steady_clock::now() < end ? 1 : 0;
      group.broadcast(&left, sizeof(left), 0);
      more = left != 0;
    }
  }
  world.barrier();
}

/// Half of the ranks wait for the other half, which does likewise.
void crossed(const Communicator& world, const Case& test) {
  const Communicator a = world.duplicate();
  const Communicator b = world.duplicate();
  (test.is_chosen(world.rank()) ? a : b).barrier();
}

/// A rank arrives at a call of MPI that blocks, but does not enter it.
void blocking_call(const Communicator& world, const Case& test) {
  if (test.is_chosen(world.rank())) {
    world.barrier();
    raise(SIGSTOP);
  }
  static_cast<void>(world.split(0));
}

void shared_array(const Communicator& world, const Case& test) {
  const Communicator node = world.node();
  const trainer::comm::SharedArray array(node, 4096);
  test.stop_if_chosen(world.rank());
}

/// The end after an error hangs, on every rank.
[[noreturn]] void hang() {
  while (true) sleep_seconds(1);
}

/// Longer than the limit, but the steps were so long before.
void adaptive(const Communicator& world, const Case& test) {
  world.watchdog().step_took(test.limit / 5);  // the limit is now four times as long
  if (test.is_chosen(world.rank())) sleep_seconds(1.5 * test.limit);
  world.barrier();
}

void run(const Communicator& world, const Case& test) {
  if (test.name == "barrier" || test.name == "hanging_end") return barrier(world, test);
  if (test.name == "chain") return chain(world, test);
  if (test.name == "late") return late(world, test);
  if (test.name == "suspended") return suspended(world, test);
  if (test.name == "crossed") return crossed(world, test);
  if (test.name == "blocking_call") return blocking_call(world, test);
  if (test.name == "shared_array") return shared_array(world, test);
  if (test.name == "adaptive") return adaptive(world, test);
  if (test.name == "waits") return group_works(world, test, [](const Communicator&) {});
  if (test.name == "end") return test.stop_if_chosen(world.rank());
  if (test.name == "off") {
    world.watchdog().set_limit(std::numeric_limits<double>::infinity());
    return group_works(world, test, [&](const Communicator&) { sleep_seconds(2 * test.limit); });
  }
  if (test.name == "polls") {
    return group_works(world, test, [&](const Communicator& group) {
      for (int unit = 0; unit < 2000; ++unit) {
        sleep_seconds(test.limit / 1000);
        group.poll();
      }
    });
  }
  if (test.name == "steps") {
    return group_works(world, test, [&](const Communicator& group) {
      sleep_seconds(test.limit / 5);
      group.watchdog().step_took(1e-9);
    });
  }
  trainer::fail(trainer::ErrorKind::usage, "no such case: ", test.name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return EXIT_FAILURE;
  Case test{argv[1], std::atof(argv[2]), {}};
  for (int i = 3; i < argc; ++i) test.chosen.push_back(std::atoi(argv[i]));
  if (test.name == "start" || test.name == "late_start") {
    const char* text = std::getenv("OMPI_COMM_WORLD_RANK");
    const int rank = text == nullptr ? 0 : std::atoi(text);
    if (test.name == "start") test.stop_if_chosen(rank);
    if (test.is_chosen(rank)) sleep_seconds(test.limit / 2);
    test.name = "end";
    test.chosen.clear();
  }
  const Environment environment(&argc, &argv, test.limit);
  const Communicator world = Communicator::world(environment);
  try {
    run(world, test);
  } catch (const trainer::Error& error) {
    if (test.name == "hanging_end") hang();
    std::cerr << "trainer: error: rank " + std::to_string(world.rank()) + " on " +
                     trainer::comm::host_name() + ": " + error.what() + "\n";
    world.abort(error.exit_code());
  }
  if (world.rank() == 0) std::cout << "ended well" << std::endl;
  return EXIT_SUCCESS;
}
