#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "byte_source.h"
#include "csv_rows.h"

namespace trainer::data {

/// A regular file of text, open to be read; gzip is told by its content and read from its beginning only.
class CsvFile {
 public:
  /// Throws Error(data) unless `path` is a regular file that can be read.
  explicit CsvFile(std::string path);

  const std::string& path() const { return path_; }
  std::int64_t bytes() const { return bytes_; }  ///< as stored
  std::int64_t modified() const { return modified_; }
  bool is_compressed() const { return compressed_; }

  /// Up to `bytes` bytes from `offset` of what is stored; fewer at the end only. Throws Error(data).
  std::int64_t read_at(std::int64_t offset, char* out, std::int64_t bytes) const;
  /// The rows from the byte `offset` of the (decompressed) text, which begins a row and stands in `line`.
  CsvRowReader rows_from(std::int64_t offset, std::int64_t line) const;
  /// Throws Error(data) when size or time of the file are not those of its opening.
  void require_unchanged() const;

 private:
  /// Closes what it holds.
  struct Descriptor {
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
    int value = -1;
  };

  std::string path_;
  Descriptor descriptor_;
  std::int64_t bytes_ = 0;
  std::int64_t modified_ = 0;
  bool compressed_ = false;
};

}  // namespace trainer::data
