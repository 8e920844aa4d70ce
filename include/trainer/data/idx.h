#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trainer::data {

/// The element types of IDX (LeCun, the MNIST database), by the third byte of the file.
enum class IdxType : std::uint8_t {
  uint8 = 0x08,
  int8 = 0x09,
  int16 = 0x0B,
  int32 = 0x0C,
  float32 = 0x0D,
  float64 = 0x0E
};

std::string name_of(IdxType type);
std::int64_t size_of(IdxType type);  ///< in bytes

/// An IDX file, plain or gzip (told by its content), opened and its header checked. The values are read once,
/// in order.
class IdxFile {
 public:
  /// Throws Error(data) unless `path` is a readable regular file with a valid header whose sizes can be true:
  /// for a plain file they must be the file's size exactly; for gzip the values must not exceed 1032 times
  /// the compressed size (deflate's limit). Nothing is allocated by a declared size.
  explicit IdxFile(const std::string& path);
  ~IdxFile();
  IdxFile(IdxFile&&) noexcept;
  IdxFile& operator=(IdxFile&&) noexcept;

  const std::string& path() const;
  IdxType type() const;
  const std::vector<std::int64_t>& shape() const;  ///< at least one dimension, each at least 1
  std::int64_t elements() const;                   ///< product of the shape

  /// All values, in the file's order, to memory for elements() of them. Each of these may be called once, and
  /// only one. Throws Error(data) for a truncated or corrupt file (gzip: its CRC too), for bytes after the
  /// last value, and for values that the memory's type cannot hold: non-finite or beyond f32, naming row and
  /// column; bytes only from type uint8, whole numbers only from the integer types.
  void read(std::uint8_t* values);
  void read(std::int32_t* values);
  void read(float* values);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::data
