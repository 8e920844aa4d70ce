#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "trainer/h5/atomic_file.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

/// A data set with a value, or a row of values, for each row of the file.
struct RowSet {
  enum class Type { f32, i64, u8, i32, text };
  std::string path;  ///< absolute; missing groups are made
  Type type = Type::f32;
  std::int64_t columns = 0;  ///< shape [rows, columns]; 0: [rows]; of text: bytes of one, shape [rows]
  Attributes attributes = {};
  std::string also = {};  ///< a second name of it (a hard link), in a group that is there; or empty
  std::vector<std::int64_t> row_shape = {};  ///< shape [rows, row_shape...], of `columns` values; or empty
  std::int64_t rows = -1;                    ///< another number of rows than the file's; -1: the file's
};

/// Writes an HDF5 file of row sets, of any size, in bounded memory: any rows at any time, by any number of
/// processes. The file is there whole or not at all (see AtomicFile); equal content gives equal bytes. Data
/// sets are contiguous and little-endian; rows that nobody writes are 0. HDF5 itself writes the headers only,
/// and not to the disk: it does not survive a write that fails. Every function throws Error(data) that names
/// the file when it cannot be written. Move-only; different threads may write different rows at once.
class RowWriter {
 public:
  /// `attributes`: of the root group. Takes the space for all rows at once, where the file system can do
  /// that. Throws Error(data) when the sets are larger than any file may be.
  RowWriter(const std::filesystem::path& path, std::int64_t rows, std::vector<RowSet> sets,
            const Attributes& attributes);
  /// For other processes, while the first one has not finished: `places` as the first one's.
  static RowWriter join(const std::filesystem::path& path, std::int64_t rows, std::vector<RowSet> sets,
                        std::vector<std::int64_t> places);

  /// By set: where its rows begin in the file; -1 without rows.
  const std::vector<std::int64_t>& places() const { return places_; }
  /// Rows from `first` on; `values`: whole rows, of the type of set `set` (an index). Throws Error(internal)
  /// for rows that there are none of.
  void write(std::size_t set, std::int64_t first, std::span<const float> values);
  void write(std::size_t set, std::int64_t first, std::span<const std::int64_t> values);
  void write(std::size_t set, std::int64_t first, std::span<const std::uint8_t> values);
  void write(std::size_t set, std::int64_t first, std::span<const std::int32_t> values);
  /// Texts, each as long as the set says, padded with zeros.
  void write(std::size_t set, std::int64_t first, std::span<const char> values);
  /// Waits until this process's rows are on the disk: to be called by each one that joined, before the first
  /// one finishes.
  void sync() { file_.sync(); }
  /// Puts the file in its place. By the one that made it, once.
  void finish() { file_.commit(); }

 private:
  RowWriter(AtomicFile file, std::string name, std::int64_t rows, std::vector<RowSet> sets,
            std::vector<std::int64_t> places);
  void make_headers(const Attributes& attributes);
  void put(std::size_t set, RowSet::Type type, std::int64_t first, std::size_t count,
           std::span<const std::byte> bytes);

  AtomicFile file_;
  std::string name_;
  std::int64_t rows_;
  std::vector<RowSet> sets_;
  std::vector<std::int64_t> places_;
};

}  // namespace trainer::h5
