#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainer::h5 {

/// What the elements of a table mean; `other` cannot be read. An integer with scale_factor or add_offset is
/// `floating`.
enum class TableKind { integer, floating, boolean, text, other };

/// A data set that somebody else wrote, or one member of a compound, as its header describes it.
struct TableFacts {
  std::string path;                 ///< absolute; of a compound's member "/table:member"
  std::vector<std::int64_t> shape;  ///< of the data set; empty for a scalar
  std::vector<std::int64_t> chunk;  ///< shape of its chunks; empty when it has none
  bool is_filtered = false;         ///< its chunks are compressed or the like
  TableKind kind = TableKind::other;
  std::string type;  ///< as stored: "uint8", "float16", "bool", "string", ...
  std::int64_t element_bytes = 0;
  bool has_missing = false;  ///< _FillValue or missing_value says which values mean that there is none
  bool is_scaled = false;    ///< scale_factor or add_offset are to be applied
};

/// A hyperslab: for each axis of a data set its first place, how many, and the distance between two.
struct Slab {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> count;
  std::vector<std::int64_t> step;
};

/// One data set (or member of a compound), open for reading; it keeps its file open. Values come in row-major
/// order of the slab's axes, converted from any stored type and byte order by HDF5. One thread at a time uses
/// the tables of a file. Throws Error(data) naming the file and data set for what cannot be read.
class Table {
 public:
  struct State;  ///< for the files of this room
  explicit Table(std::unique_ptr<State> state);
  ~Table();
  Table(Table&&) noexcept;
  Table& operator=(Table&&) noexcept;

  const TableFacts& facts() const;
  const std::string& place() const;  ///< "file.h5: /x", for messages

  /// Numbers and booleans. Scale factors are applied; missing values become NaN, what is beyond f32 infinite.
  void read(const Slab& slab, float* out) const;
  /// As they are; for type "uint8" without missing values and scale factors only.
  void read(const Slab& slab, std::uint8_t* out) const;
  /// Integers and booleans. Returns where the first missing value stands in `out`, if there is one.
  std::optional<std::int64_t> read(const Slab& slab, std::int64_t* out) const;
  /// Texts, without the padding of those of fixed length.
  std::vector<std::string> read_texts(const Slab& slab) const;
  /// What is stored at the one place `slab`, and why that is no finite f32: "holds 1e+300, which ...".
  std::string trouble(const Slab& slab) const;
  /// Throws Error(data) when the file was written to, or cut off, since it was opened: HDF5 reads zeros
  /// behind the end of a file that has become shorter.
  void require_unchanged() const;
  /// Keeps up to `bytes` of decompressed chunks between reads (1 MiB before the first call).
  void keep_chunks(std::int64_t bytes);

 private:
  std::unique_ptr<State> state_;
};

/// May virtual data sets, external links and external storage lead out of a file?
enum class Links { inside, anywhere };

/// An HDF5 or netCDF-4 file of any origin, read only and without file locks. Soft links inside the file are
/// followed. Refused, with the reason and a remedy: what leads out of the file (unless allowed), filters that
/// are not available, sizes that the file cannot hold, sizes of zero, values that were never written, types
/// that are no numbers, booleans or texts. All is checked before anything is allocated.
class TableFile {
 public:
  static TableFile open(const std::filesystem::path& path, Links links = Links::inside);

  const std::string& name() const;  ///< for messages
  std::int64_t file_bytes() const;
  /// Whether `path` leads to a data set or, written "table:member", to a member of one.
  bool has(const std::string& path) const;
  Table table(const std::string& path) const;
  /// The data sets and members of compounds, at most `most` of them, in path order; groups that contain
  /// themselves are met once, netCDF's dimension scales are left out. Sizes have not been checked.
  std::vector<TableFacts> list(std::size_t most) const;

  struct State;  ///< for the files of this room

 private:
  explicit TableFile(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace trainer::h5
