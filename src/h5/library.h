#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "trainer/core/error.h"

namespace trainer::h5 {

static_assert(std::is_same_v<hid_t, std::int64_t>, "HDF5 before 1.10 had 32-bit identifiers");

/// While one lives, this thread alone is inside HDF5, and HDF5 prints no error by itself. Made by every
/// public method before its first call of HDF5, and before any Handle, so that handles are closed under it.
class Inside {
 public:
  Inside();
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  std::unique_lock<std::recursive_mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

/// What went wrong in the last call that failed, in HDF5's own words, from the deepest place; empties the
/// error stack.
std::string innermost_reason();

/// Throws Error(data) when one of a file's names has a control character in it: names stand in messages, each
/// of which is one line for a terminal.
void require_printable(const std::vector<std::string>& names, const std::string& place);

/// Passes on the result of a call of HDF5; a negative one is an Error(data): the parts, then HDF5's reason.
template <class Result, class... Parts>
Result checked(Result result, Parts&&... parts) {
  if (result < 0) [[unlikely]] {
    const std::string reason = innermost_reason();
    fail(ErrorKind::data, std::forward<Parts>(parts)..., " (HDF5: ", reason, ")");
  }
  return result;
}

/// An identifier of HDF5 that is owned.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close closer) : id_(id), close_(closer) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  operator hid_t() const { return id_; }  // NOLINT: handed to C functions, as itself
  /// Closes now and returns what the library says.
  herr_t close() { return close_(std::exchange(id_, -1)); }

 private:
  hid_t id_;
  Close close_;
};

/// Bytes of a file to be opened. Throws Error(data) unless it is there and a regular file.
std::int64_t size_of_file(const std::filesystem::path& path);

}  // namespace trainer::h5
