#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "trainer/core/error.h"

namespace trainer {

/// An owning, move-only array of `size` trivial values, aligned to 64 bytes, zeroed.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  /// Throws Error(internal) when memory is not to be had, or size is negative or overflows.
  explicit Buffer(std::int64_t size) : size_(size) {
    constexpr std::int64_t kLimit =
        std::numeric_limits<std::int64_t>::max() / 2 / static_cast<std::int64_t>(sizeof(T));
    require(size >= 0 && size < kLimit, ErrorKind::internal, "a buffer of ", size, " elements was asked for");
    if (size == 0) return;
    const std::size_t bytes = (static_cast<std::size_t>(size) * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
    require(data_ != nullptr, ErrorKind::internal, "out of memory: ", bytes >> 20, " MiB more were needed");
    std::memset(static_cast<void*>(data_), 0, bytes);
  }
  ~Buffer() { std::free(data_); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::int64_t size() const { return size_; }
  T& operator[](std::int64_t i) { return data_[i]; }
  const T& operator[](std::int64_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, static_cast<std::size_t>(size_)}; }
  std::span<const T> span() const { return {data_, static_cast<std::size_t>(size_)}; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace trainer
