// Runs an optimizer or a schedule over what standard input gives, for comparison with other programs:
//   optim_driver update OPTIMIZER RATE COUNT STEPS   reads COUNT parameters, then STEPS times COUNT gradients
//                                                    (text), writes the parameters after every step
//   optim_driver rates SCHEDULE PEAK HORIZON STEPS_PER_EPOCH STEPS   writes the rate of every step; a plateau
//                                                    reads a value for each epoch, smaller being better
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "descent.h"
#include "trainer/core/grammar.h"
#include "trainer/optim/schedule.h"

namespace trainer::optim {
namespace {

std::vector<float> read_floats(std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values)
    require(bool(std::cin >> value), ErrorKind::data, "too few numbers on the input");
  return values;
}

void run_updates(const std::string& optimizer, double rate, std::size_t count, int steps) {
  Descent descent(optimizer, read_floats(count));
  for (int step = 0; step < steps; ++step) {
    descent.step(read_floats(count), rate);
    for (const float value : descent.parameters()) std::cout << format_number(value) << '\n';
  }
}

void run_schedule(const std::string& text, double peak, std::int64_t horizon, std::int64_t steps_per_epoch,
                  std::int64_t steps) {
  const Schedule schedule(text, "0", peak, horizon, steps_per_epoch);
  Schedule::State state;
  for (std::int64_t step = 1; step <= steps; ++step) {
    std::cout << format_number(schedule.rate(step, state)) << '\n';
    double value = 0;
    if (!schedule.is_adaptive() || step % steps_per_epoch != 0) continue;
    require(bool(std::cin >> value), ErrorKind::data, "too few values on the input");
    schedule.observe(state, value, false);
  }
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 5 && words[0] == "update") {
    run_updates(words[1], std::stod(words[2]), std::stoul(words[3]), std::stoi(words[4]));
    return EXIT_SUCCESS;
  }
  if (words.size() == 6 && words[0] == "rates") {
    run_schedule(words[1], std::stod(words[2]), std::stoll(words[3]), std::stoll(words[4]),
                 std::stoll(words[5]));
    return EXIT_SUCCESS;
  }
  std::cerr << "usage: see the first lines of optim_driver.cpp\n";
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace trainer::optim

int main(int argc, char** argv) {
  try {
    return trainer::optim::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
