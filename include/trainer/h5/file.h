#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace trainer::h5 {

/// The value of an attribute. On the file: little-endian 64-bit numbers and variable-length UTF-8 strings;
/// scalars are scalar data spaces, lists have one axis (which may be empty).
using Attribute = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;
using Attributes = std::map<std::string, Attribute>;

/// What the elements of a data set are, as stored; `other` cannot be read by this class.
enum class ElementType { f32, f64, integer, other };

/// A data set as its header describes it; nothing is read or allocated to learn this.
struct DataSet {
  std::string path;                 ///< absolute
  std::vector<std::int64_t> shape;  ///< empty for a scalar
  ElementType type = ElementType::other;
  std::int64_t elements = 0;
};

/// A file of whole-number, floating-point and text values in HDF5. All paths are absolute
/// ("/model/00_dense/weight"). Every call of HDF5 is checked; a failure is an Error(data) that names the
/// file, the object and the library's innermost reason, and the library itself prints nothing. HDF5 is
/// thread-safe in some builds only: every method holds one lock of the process while it is inside HDF5, so
/// different threads may use different files; one file is used by one thread at a time. Throws
/// Error(internal) when called on a file opened the other way (reading one that is written, or the reverse).
class File {
 public:
  /// A new file in memory, to be handed over by image(). `expected_bytes` is a hint: the size that is
  /// allocated at once. `user_block_bytes`: 0, or a power of two from 512: so many zero bytes come before the
  /// HDF5 data.
  static File create_in_memory(std::int64_t user_block_bytes, std::int64_t expected_bytes);
  /// A new file for `path`. It is built in memory and reaches the disk at close(): HDF5 itself does not
  /// survive a write that fails (it crashes when the process ends).
  static File create(const std::filesystem::path& path);
  /// Opens for reading, without file locks (other readers and read-only file systems are fine).
  static File open_read(const std::filesystem::path& path);
  /// Opens `bytes`, the whole content of `name` (used in messages only), for reading; they are not copied and
  /// live as long as the File.
  static File open_image(std::string name, std::vector<std::byte> bytes);

  ~File();
  File(File&&) noexcept;
  File& operator=(File&&) noexcept;

  const std::string& name() const;  ///< for messages

  // Writing. Objects carry no times, so that equal content gives equal bytes.

  /// Makes a group and those above it that are missing; an existing one is left as it is.
  void create_group(const std::string& path);
  /// Writes a whole data set, contiguous, little-endian; the product of `shape` must be values.size(). Makes
  /// missing groups.
  void write(const std::string& path, std::span<const std::int64_t> shape, std::span<const float> values);
  void write(const std::string& path, std::span<const std::int64_t> shape, std::span<const double> values);
  void write(const std::string& path, std::span<const std::int64_t> shape,
             std::span<const std::int64_t> values);
  /// Sets an attribute that is not there yet. One attribute holds less than 64 KiB (a string in it counts 16
  /// bytes).
  void set_attribute(const std::string& object, const std::string& name, const Attribute& value);
  void set_attributes(const std::string& object, const Attributes& attributes);
  /// The finished bytes of a file made by create_in_memory, user block included; valid as long as the File.
  /// Nothing can be written after.
  std::span<std::byte> image();
  /// Puts a file made by create() on disk, whole or not at all; see write_atomically().
  void close();

  // Reading. Refused, with the reason: soft and external links, an object reached by two links, filters
  // (compression), virtual or external storage, data sets that claim more elements than their storage or the
  // file holds. Checked before anything is allocated.

  bool has(const std::string& path) const;  ///< a group or data set reached by plain links
  /// The data sets in a group and below it, in path order (by bytes). Group names come from groups().
  std::vector<DataSet> data_sets(const std::string& group) const;
  /// Paths of the groups directly in `group`, in path order.
  std::vector<std::string> groups(const std::string& group) const;
  DataSet describe(const std::string& path) const;
  /// All values of a data set in row-major order. The stored type must be as named: f32, f64, or f32 or f64
  /// with read_floats (f64 is rounded to the nearest f32), any signed or unsigned integer that fits i64.
  std::vector<float> read_f32(const std::string& path) const;
  std::vector<double> read_f64(const std::string& path) const;
  std::vector<float> read_floats(const std::string& path) const;
  std::vector<std::int64_t> read_i64(const std::string& path) const;
  /// All attributes of a group or data set. Accepts fixed-length strings too; an attribute of another class
  /// is refused.
  Attributes attributes(const std::string& object) const;

  struct State;  ///< for the files of this room

 private:
  friend class RowWriter;
  explicit File(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace trainer::h5
