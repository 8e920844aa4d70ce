#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/core/error.h"
#include "trainer/core/tree.h"

namespace trainer::data {

class EpochOrder;
class Scaling;

/// What the rows' targets are: an index of a class, or real numbers; or an autoencoder's, which are no part
/// of the data set.
enum class TargetKind { classes, values, none };

/// What is known about a data set before a row is read; the same on every rank.
struct DataFacts {
  std::string name;  ///< "fashion-mnist", a folder's own name, "generate:circle"
  std::int64_t rows = 0;
  std::int64_t features = 0;                ///< product of feature_shape
  std::vector<std::int64_t> feature_shape;  ///< such as 28, 28; never empty
  TargetKind kind = TargetKind::classes;
  std::int64_t targets = 0;              ///< number of classes, or columns of values; 0 for none
  std::vector<std::string> class_names;  ///< empty when unknown, else one a class
  std::string element_type;              ///< of the inputs in the file: "uint8", "int16", "float32", ...
  /// First rows of the blocks that are read and shuffled together when rows stay in their files; ascending
  /// from 0. A function of the layout of the files alone.
  std::vector<std::int64_t> blocks;
  std::string encoding;     ///< how the columns of a table became inputs (categories); empty: as numbers
  std::string fingerprint;  ///< digest of names without folders, types, shapes and content
};

/// Rows of inputs and targets that can be asked for in any order. All functions are const and thread-safe;
/// the gathers of a resident data set do not allocate. Every row must be in [0, facts().rows).
class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual const DataFacts& facts() const = 0;

  /// Where a row is, for messages: "FILE: line 3" of a table, "FILE: row 2" (from 0) of HDF5. Slow.
  virtual std::string place_of(std::int64_t row) const { return text("row ", row, " of ", facts().name); }

  /// Whether every row is in memory, so that any may be gathered at any time.
  virtual bool has_all_rows() const { return true; }
  /// Throws Error(usage) when there is no memory to come to batches of `batch` rows in this order.
  virtual void require_room(const EpochOrder& /*order*/, std::int64_t /*batch*/) const {}
  /// The next batch, of all ranks together: places [place, place + count) of `epoch`. Rows that stay in their
  /// files are then on their way into memory, with what follows them. By one thread, before the rows are
  /// gathered. **Collective**: when a rank comes here, no rank gathers rows of a batch before any more.
  /// Throws what reading ahead has met, on the rank that met it.
  virtual void approach(const EpochOrder& /*order*/, std::int64_t /*epoch*/, std::int64_t /*place*/,
                        std::int64_t /*count*/) const {}

  /// inputs: [rows, features] f32, the raw values (a byte 7 is 7.0f).
  virtual void gather(std::span<const std::int64_t> rows, float* inputs) const = 0;
  /// inputs: [rows, features] f32, scaled: the same bits as gather() and then Scaling::apply(), in one pass.
  virtual void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                             float* inputs) const = 0;
  /// classes: [rows] i32 in [0, targets). Throws Error(internal) unless kind is classes.
  virtual void gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const = 0;
  /// classes: [rows.size()] i32, as gather_classes() of rows next to each other; where rows stay in files,
  /// nothing but the labels is read.
  virtual void read_classes(Range rows, std::int32_t* classes) const {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) gather_classes({&row, 1}, classes++);
  }
  /// values: [rows, targets] f32, unscaled. Throws Error(internal) unless kind is values.
  virtual void gather_values(std::span<const std::int64_t> rows, float* values) const = 0;
};

}  // namespace trainer::data
