#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace trainer::h5 {

/// The name under which a file is written before it gets its own: ".tmp-NAME", in the same folder.
std::filesystem::path temporary_path(const std::filesystem::path& path);

/// Puts `bytes` at `path`, whole and on disk, or leaves what is there: written to temporary_path(path),
/// synced, renamed, folder synced. Throws Error(data) with the system's reason; the temporary file is then
/// removed.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// "No space left on device; free some space ...": the reason of a failed system call and what to do about
/// it.
std::string reason_and_remedy(int error_number);

}  // namespace trainer::h5
