#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace trainer::data {

/// The bytes of a regular file in order, decompressed when its content is gzip (RFC 1952, of one or more
/// members).
class ByteSource {
 public:
  /// Throws Error(data) unless `path` is a regular file that can be read.
  explicit ByteSource(std::string path);
  ~ByteSource();
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;

  const std::string& path() const;
  std::int64_t file_bytes() const;  ///< as stored
  bool is_compressed() const;

  /// The next `bytes` bytes, or all that are left when they are fewer; returns how many. Throws Error(data)
  /// when reading fails and when gzip data is corrupt or ends early. At the end of gzip data its checksum has
  /// been verified.
  std::int64_t read(void* out, std::int64_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::data
