#pragma once

#include <string>
#include <string_view>

namespace trainer::report {

/// `what` with the system's reason for the last failure and a remedy: "cannot write FILE: No space left on
/// device; free some ...". The failed call must stand in a statement before: the order in which arguments are
/// evaluated is the compiler's.
std::string with_reason(const std::string& what);

/// Writes the first of `bytes` to an open file, as many as the system takes at once; returns how many. Throws
/// Error(data) that names `path`.
std::size_t write_some(int file, std::string_view bytes, const std::string& path);

/// Writes all of `bytes` to an open file. Throws Error(data) that names `path`.
void write_all(int file, std::string_view bytes, const std::string& path);

/// Waits until a file is on the disk. Throws Error(data) that names `path`.
void sync_file(int file, const std::string& path);

/// Replaces `path` by `content` so that a reader sees the old or the new content, whole, whatever happens:
/// written beside, synced, renamed. `beside` is put behind the name of the temporary file. Throws
/// Error(data).
void replace_file(const std::string& path, const std::string& content, const std::string& beside = ".new");

/// Writes over a file that is there, in place: where a full disk has no room for another one beside it. A
/// reader may see a part of it. Throws Error(data).
void overwrite_file(const std::string& path, const std::string& content);

/// Appends one line to a file, in one write. Throws Error(data).
void append_line(const std::string& path, const std::string& line);

/// The content of a file of at most 64 MiB. Throws Error(data).
std::string read_whole_file(const std::string& path);

}  // namespace trainer::report
