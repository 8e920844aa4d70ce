#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace trainer::checkpoint {

/// Throws Error(data) beginning with `name` unless `file`, a whole checkpoint file, has the first block, the
/// size and the digest that were written. Looks at bytes only: HDF5 has no part in it.
void require_intact(std::span<const std::byte> file, const std::string& name);

/// The bytes of a checkpoint file that are what was written. An object of this type is the proof: there is no
/// way to make one of bytes that were not checked, so that a function that takes one may give it to HDF5.
class VerifiedImage {
 public:
  /// Takes a whole file's bytes. Throws as require_intact().
  VerifiedImage(std::string name, std::vector<std::byte> bytes);
  /// Reads a file. What its first block says is compared with its size before anything is allocated. Throws
  /// Error(data).
  static VerifiedImage read(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  /// Gives the bytes away.
  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::string name_;
  std::vector<std::byte> bytes_;
};

}  // namespace trainer::checkpoint
