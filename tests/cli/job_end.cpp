// A program for the test of how jobs end: its argument says what happens in the job.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "trainer/cli/exit.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/communicator.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"

namespace {

using trainer::Error;
using trainer::ErrorKind;
using trainer::comm::Communicator;

[[noreturn]] void fail_as(const std::string& what) {
  if (what == "usage") throw Error(ErrorKind::usage, "--model: unknown layer\n  dnse(10)\n  ^");
  if (what == "numeric") throw Error(ErrorKind::numeric, "the loss is not finite");
  if (what == "memory") throw std::bad_alloc();
  if (what == "foreign") throw std::runtime_error("a surprise");
  throw 5;
}

/// WHAT of ok, stop, agreed:KIND, alone:KIND; the failing rank is the last one.
int job(const Communicator& world, const std::string& what) {
  const bool last = world.rank() == world.size() - 1;
  const std::size_t colon = what.find(':');
  const std::string kind = colon == std::string::npos ? "" : what.substr(colon + 1);
  if (what == "stop") return static_cast<int>(ErrorKind::stopped);
  if (what.starts_with("agreed")) {
    trainer::comm::together(world, [&] {
      if (last) fail_as(kind);
    });
  }
  if (what.starts_with("alone")) {
    if (last) fail_as(kind);
    world.barrier();  // the others wait for the one that is gone
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what.starts_with("early")) {  // before MPI; on all ranks, or on rank 1 alone
    const bool all = what == "early";
    const int code = trainer::cli::run_before_mpi([&]() -> int {
      if (all || trainer::comm::rank_from_environment() == 1) fail_as("usage");
      return 0;
    });
    if (code != 0) return code;
  }
  return trainer::cli::run_before_mpi([&] {
    const trainer::comm::Environment environment(&argc, &argv);
    const Communicator world = Communicator::world(environment);
    return trainer::cli::run_collectively(
        world, [&] { return job(world, what); },
        [](int code, const std::string& message) {
          std::printf("recorded %d: %s\n", code, message.substr(0, message.find('\n')).c_str());
          std::fflush(stdout);
        });
  });
}
