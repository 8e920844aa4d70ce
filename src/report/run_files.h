#pragma once

// What a run folder holds, read for its report. Private to this room.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/report/csv_table.h"
#include "trainer/report/run_folder.h"

namespace trainer::report {

/// RUN/examples.h5: the rows that a classifier found hardest, the worst first.
struct Examples {
  std::int64_t features = 0;
  std::vector<std::int64_t> shape;  ///< of an image; may be empty
  std::vector<float> inputs;        ///< [rows, features]
  std::vector<std::int64_t> row, target, predicted;
  std::vector<float> probability, loss;
};

/// RUN/surface.h5: what a model with two inputs puts out over a rectangle.
struct Surface {
  std::vector<double> x, y;
  std::int64_t outputs = 0;
  std::vector<float> output;   ///< [y, x, outputs]
  std::vector<double> points;  ///< [rows, 2]; may be empty
  std::vector<std::int64_t> classes;
};

/// RUN/landscape.csv as a grid.
struct Landscape {
  std::vector<double> alpha, beta;
  std::vector<double> loss;  ///< [beta, alpha]
};

/// A run as it stands; what is not there (yet) is empty.
struct RunFiles {
  std::string folder, name;
  std::optional<RunStatus> status;
  std::vector<std::pair<std::string, std::string>> result;  ///< the plain members of result.json
  std::string done;                                         ///< the `done:` or `stopped:` line
  std::string settings, environment;
  std::optional<CsvTable> metrics, timing, steps, gradients, confusion;
  std::optional<Examples> examples;
  std::optional<Surface> surface;
  std::optional<Landscape> landscape;
  std::optional<checkpoint::Tensor> first_weights;  ///< of best.h5: [units, inputs]
  std::vector<std::string> class_names;             ///< of best.h5
  std::vector<std::string> troubles;                ///< what could not be read, and why

  /// Its name, or its number where it has none.
  std::string class_name(std::int64_t index) const;
};

/// Throws Error(data) when there is no run; what is wrong with single files is told in `troubles`.
RunFiles read_run(const std::string& folder, const std::string& name);

/// The content of FOLDER/NAME; empty when there is no such plain file.
std::string text_of(const std::string& folder, const std::string& name);

}  // namespace trainer::report
