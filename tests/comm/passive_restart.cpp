// A program for the tests of restart_with_passive_waiting and of Environment: says what became of all ranks.
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"

namespace {

std::int64_t total(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

void report(const trainer::comm::Environment& environment, bool restarted, bool arguments_kept) {
  const auto world = trainer::comm::Communicator::world(environment);
  const char* policy = std::getenv("OMP_WAIT_POLICY");
  const bool passive = policy != nullptr && std::string(policy) == "passive";
  const std::int64_t all_restarted = total(world.all_gather(std::int64_t{restarted}));
  const std::int64_t all_passive = total(world.all_gather(std::int64_t{passive}));
  const std::int64_t all_kept = total(world.all_gather(std::int64_t{arguments_kept}));
  if (world.rank() != 0) return;
  std::cout << world.size() << " ranks, " << all_restarted << " started again, " << all_passive
            << " wait passively, " << (all_kept == world.size() ? "arguments kept" : "arguments lost")
            << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const bool too_many = argc > 1 && std::string(argv[1]) == "too_many";
  const int threads = too_many ? trainer::comm::cpus_of_node() + 1 : 1;
  const bool restarted = trainer::comm::restart_with_passive_waiting(threads, argv);
  try {
    const trainer::comm::Environment environment(&argc, &argv);
    report(environment, restarted, argc == 3 && std::string(argv[2]) == "an argument");
  } catch (const trainer::Error& error) {
    std::cerr << error.what() << std::endl;
    return error.exit_code();
  }
  return 0;
}
