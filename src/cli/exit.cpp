#include "trainer/cli/exit.h"

#include <chrono>
#include <exception>
#include <thread>

#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/failure.h"

namespace trainer::cli {
namespace {

/// Longer than a launcher takes to end a job one of whose processes has failed.
constexpr std::chrono::milliseconds kPatience{1500};

void tell(const OnFailure& on_failure, const Failure& failure) {
  if (!on_failure) return;
  try {
    on_failure(static_cast<int>(failure.kind), failure.message);
  } catch (...) {  // the first failure is what matters
  }
}

std::string with_place(int rank, const std::string& message) {
  return text("rank ", rank, " on ", comm::host_name(), ": ", message);
}

}  // namespace

void print_error(std::FILE* out, const std::string& message) {
  const std::string line = "trainer: error: " + message + "\n";
  std::fwrite(line.data(), 1, line.size(), out);
  std::fflush(out);
}

int run_before_mpi(const std::function<int()>& body) {
  try {
    return body();
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    const int rank = comm::rank_from_environment();
    if (rank == 0) {
      print_error(stderr, failure.message);
    } else {
      // When rank 0 failed too it has printed, and the launcher ends this process meanwhile.
      std::this_thread::sleep_for(kPatience);
      print_error(stderr, with_place(rank, failure.message));
    }
    return static_cast<int>(failure.kind);
  }
}

int run_collectively(const comm::Communicator& world, const std::function<int()>& body,
                     const OnFailure& on_failure) {
  bool agreed = false;
  std::exception_ptr exception;
  try {
    return body();
  } catch (const comm::AgreedError&) {
    agreed = true;
    exception = std::current_exception();
  } catch (...) {
    agreed = world.size() == 1;
    exception = std::current_exception();
  }
  Failure failure = failure_of(exception);
  if (!agreed) {
    failure.message = with_place(world.rank(), failure.message);
    print_error(stderr, failure.message);
    tell(on_failure, failure);
    world.abort(static_cast<int>(failure.kind));
  }
  if (world.rank() == 0) {
    print_error(stderr, failure.message);
    tell(on_failure, failure);
  }
  world.barrier();
  return static_cast<int>(failure.kind);
}

}  // namespace trainer::cli
