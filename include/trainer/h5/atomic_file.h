#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace trainer::h5 {

/// The name under which a file is written before it gets its own: ".tmp-NAME", in the same folder.
std::filesystem::path temporary_path(const std::filesystem::path& path);

/// A file that is there whole, on disk, or not at all: written under temporary_path(path), in pieces, then
/// synced and renamed. Move-only. Every function throws Error(data) with the file, the system's reason and a
/// remedy.
class AtomicFile {
 public:
  /// Opens the temporary file, new and empty.
  explicit AtomicFile(std::filesystem::path path);
  /// Opens the temporary file that another process made and will commit, to write to places of its own there.
  static AtomicFile join(std::filesystem::path path);
  /// Without commit() the one who made the temporary file removes it.
  ~AtomicFile();
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;

  /// Makes the file so long, and where the file system can do that takes the space now: a full disk shows
  /// before the work begins.
  void reserve(std::int64_t bytes);
  void write_at(std::int64_t offset, std::span<const std::byte> bytes);
  /// Behind what was appended before; not together with write_at().
  void append(std::span<const std::byte> bytes);
  /// Waits until what this object wrote is on the disk.
  void sync();
  /// Syncs, renames to `path` (what is there is replaced), syncs the folder. Nothing can be written after.
  void commit();

 private:
  AtomicFile() = default;
  std::filesystem::path path_, temporary_;
  int file_ = -1;
  bool owner_ = false;
};

/// Puts `bytes` at `path`, whole and on disk, or leaves what is there: written to temporary_path(path),
/// synced, renamed, folder synced. Throws Error(data) with the system's reason; the temporary file is then
/// removed.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// "No space left on device; free some space ...": the reason of a failed system call and what to do about
/// it.
std::string reason_and_remedy(int error_number);

}  // namespace trainer::h5
