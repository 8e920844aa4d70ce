#pragma once

// Where predictions go. Private to this room.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/core/team.h"
#include "trainer/h5/file.h"

namespace trainer::train {

/// What a file of predictions holds.
struct PredictionLayout {
  std::string path;  ///< ends in .h5, .hdf5 or .csv
  std::int64_t rows = 0;
  std::int64_t outputs = 0;
  bool classification = false;  ///< outputs are probabilities; rows have a class
  bool deviation = false;
  std::vector<std::string> class_names;   ///< of the classes; empty when unknown
  std::vector<std::string> target_names;  ///< of the outputs of a regression; empty when unknown
  h5::Attributes attributes;              ///< of an HDF5 file's root
};

/// Rows next to each other; what the layout has not is empty.
struct PredictionBlock {
  std::int64_t first = 0;
  std::span<const float> outputs, deviation;  ///< [rows, outputs]
  std::span<const float> classes;             ///< [rows]
};

/// A file of predictions that is there whole or not at all: an existing one is replaced by close(). Every
/// function throws Error(data) when the file cannot be written.
class PredictionFile {
 public:
  /// `team` outlives the file. Throws Error(usage) for a path that ends otherwise.
  static std::unique_ptr<PredictionFile> create(const PredictionLayout& layout, const Team& team);
  virtual ~PredictionFile() = default;
  /// The next rows.
  virtual void append(const PredictionBlock& block) = 0;
  virtual void close() = 0;
};

/// Throws Error(usage) unless `path` can be a file of predictions.
void require_prediction_path(const std::string& path);

}  // namespace trainer::train
