#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "trainer/core/error.h"
#include "trainer/h5/file.h"

namespace trainer::checkpoint {

/// int64, double, text, or a list of one of them.
using Attribute = h5::Attribute;
using Attributes = h5::Attributes;

/// One data set of 32-bit floats.
struct Tensor {
  std::string
      path;  ///< relative to its group: "00_dense/weight"; letters, digits, _ . - between single slashes
  std::vector<std::int64_t> shape;
  std::vector<float> values;  ///< row-major, as many as the product of `shape`
  bool operator==(const Tensor&) const = default;
};

/// All that a checkpoint file holds, in memory. The attributes named here must be there, with these types;
/// more may be added.
struct Checkpoint {
  /// command, precision, isa, arithmetic, created (text); seed (int64).
  /// format, version and weights are set by write() (values given are ignored) and are there after read().
  Attributes root;
  /// model, loss, task (text); layers (list of text); input_size, output_size (int64); class_names (list of
  /// text), if known.
  Attributes model_attributes;
  /// Under /model: "00_dense/weight", "01_batch_norm/running_mean", ... Any order to write; in path order
  /// after read().
  std::vector<Tensor> model;
  /// Under /average: the average of the weights, with the paths of /model; empty when there is none.
  std::vector<Tensor> average;
  /// How values were scaled, in the caller's words ("inputs": "unit", ...); may be empty.
  Attributes scaling_attributes;
  /// mean, deviation, target_mean, target_deviation: those that there are. One axis each.
  std::map<std::string, std::vector<double>> scaling;
  /// text (text), step (int64).
  Attributes optimizer_attributes;
  /// Under /optimizer: "00_dense/weight/first_moment", ... Any order to write; in path order after read().
  std::vector<Tensor> optimizer;
  /// epoch, step, row (int64); further state under names of the caller's choice (doubles may be infinite or
  /// NaN).
  Attributes progress;
  /// The columns of metrics.csv in their order, all of one length (values may be NaN).
  std::vector<std::pair<std::string, std::vector<double>>> history;
};

/// The value of an attribute as the type T (std::int64_t, double, std::string or a vector of one of these).
/// Throws Error(data) when it is missing or of another type; `where` (such as "/progress of runs/a/best.h5")
/// goes into the message.
template <class T>
const T& get(const Attributes& attributes, const std::string& name, const std::string& where) {
  const auto found = attributes.find(name);
  require(found != attributes.end() && std::holds_alternative<T>(found->second), ErrorKind::data, where,
          ": attribute '", name, "' is ", found == attributes.end() ? "missing" : "of the wrong type",
          "; the file was not written by this version of trainer");
  return std::get<T>(found->second);
}
template <class T>
const T& get(Attributes&&, const std::string&,
             const std::string&) = delete;  // the value would be gone with the map

/// Writes a checkpoint so that `path` holds either what it held before or the whole new file, on disk:
/// written as .tmp-NAME beside it, synced, renamed over `path`, folder synced. Equal content gives equal
/// bytes. Memory: one more copy of the content while it runs. Not collective: one process writes. Throws
/// Error(numeric) when a value of model, optimizer or scaling is not finite (nothing is written),
/// Error(internal) when the content breaks the rules above, Error(data) naming the file and the system's
/// reason when it cannot be written (the temporary file is removed).
void write(const std::filesystem::path& path, const Checkpoint& checkpoint);

enum class Check {
  everything,  ///< the digest in the user block, before HDF5 sees a byte; then all below, the `weights`
               ///< digest, and that there are no data sets but a checkpoint's
  contents  ///< types, shapes, sizes and finite values only: for a file that was changed on purpose after it
            ///< was written. HDF5 then parses bytes that nobody has proven, and its older versions (1.10)
            ///< crash on some damaged ones: call it where a crash loses nothing, before anything is changed
};

/// Reads and checks a checkpoint. Throws Error(data) naming the file, what is wrong and what to do.
/// Memory: the file's size plus its content.
Checkpoint read(const std::filesystem::path& path, Check check = Check::everything);

/// What verify() found.
struct Verdict {
  bool good = false;
  std::string reason;  ///< why not; empty when good
};

/// Does what read() does and says whether it succeeded.
Verdict verify(const std::filesystem::path& path);

/// The tensors under /model of any HDF5 file (32-bit or 64-bit floats, rounded to 32), in path order: for
/// `--init`. No digest, user block or attribute is asked for, so h5py may have written it; as with
/// Check::contents, a damaged file may crash HDF5. Throws Error(data), also for values that are not finite.
std::vector<Tensor> read_weights(const std::filesystem::path& path);

/// The `weights` digest: XXH3-128 (seed 0, 32 hexadecimal digits) over, for every tensor in the order of the
/// bytes of its path: the absolute path ("/model/00_dense/weight", UTF-8, no terminator), then its values as
/// little-endian 32-bit floats in row-major order. In Python:
///
///     import h5py, xxhash
///     digest, paths = xxhash.xxh3_128(), []
///     with h5py.File("best.h5") as file:
///         file["model"].visititems(lambda name, x: paths.append(name) if isinstance(x, h5py.Dataset) else
///         None) for path in sorted("/model/" + name for name in paths):
///             digest.update(path.encode())
///             digest.update(file[path][...].astype("<f4").tobytes())
///         assert digest.hexdigest() == file.attrs["weights"]
std::string weights_digest(const std::vector<Tensor>& model);

}  // namespace trainer::checkpoint
