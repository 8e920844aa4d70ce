#include "run_sections.h"

#include <algorithm>
#include <cmath>

#include "trainer/core/error.h"

namespace trainer::report {

std::vector<double> column(const std::optional<CsvTable>& table, const std::string& name) {
  return table && table->has(name) ? table->numbers(name) : std::vector<double>();
}

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

std::string of_run(const Runs& runs, const RunFiles& run) {
  return runs.size() == 1 ? "" : " of " + run.name;
}

std::string stem_of(const Runs& runs, const RunFiles& run, const std::string& stem) {
  return runs.size() == 1 ? stem : text(stem, "-", &run - runs.data() + 1);
}

}  // namespace trainer::report
