#include "csv.h"

#include "trainer/core/error.h"

namespace trainer::data {
bool is_csv(const std::string& path) { return path.ends_with(".csv"); }
Plan csv_plan(const std::vector<std::string>& paths, const Request&, const ShareWork&) {
  fail(ErrorKind::usage, "--data ", paths.front(), ": CSV files cannot be read yet");
}
}  // namespace trainer::data
