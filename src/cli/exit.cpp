#include "trainer/cli/exit.h"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

/// Longer than a launcher takes to end a job one of whose processes has failed.
constexpr std::chrono::milliseconds kPatience{1500};

struct Failure {
  int exit_code = static_cast<int>(ErrorKind::internal);
  std::string message;
};

Failure describe(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<int>(ErrorKind::internal), "out of memory"};
  } catch (const std::exception& error) {
    return {static_cast<int>(ErrorKind::internal), text("internal error: ", error.what())};
  } catch (...) {
    return {static_cast<int>(ErrorKind::internal), "internal error of an unknown kind"};
  }
}

void tell(const OnFailure& on_failure, const Failure& failure) {
  if (!on_failure) return;
  try {
    on_failure(failure.exit_code, failure.message);
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

int rank_from_environment() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    const char* value = std::getenv(name);
    if (value == nullptr) continue;
    return static_cast<int>(parse_integer(value).value_or(0));
  }
  return 0;
}

int run_before_mpi(const std::function<int()>& body) {
  try {
    return body();
  } catch (...) {
    const Failure failure = describe(std::current_exception());
    const int rank = rank_from_environment();
    if (rank == 0) {
      print_error(stderr, failure.message);
    } else {
      // When rank 0 failed too it has printed, and the launcher ends this process meanwhile.
      std::this_thread::sleep_for(kPatience);
      print_error(stderr, with_place(rank, failure.message));
    }
    return failure.exit_code;
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
  Failure failure = describe(exception);
  if (!agreed) {
    failure.message = with_place(world.rank(), failure.message);
    print_error(stderr, failure.message);
    tell(on_failure, failure);
    world.abort(failure.exit_code);
  }
  if (world.rank() == 0) {
    print_error(stderr, failure.message);
    tell(on_failure, failure);
  }
  world.barrier();
  return failure.exit_code;
}

}  // namespace trainer::cli
