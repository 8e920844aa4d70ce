#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace trainer {

/// A streaming XXH3-128 digest (xxHash; seed 0).
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  void add(const void* bytes, std::size_t size);
  void add(std::string_view characters) { add(characters.data(), characters.size()); }
  /// 32 lower-case hexadecimal digits, high half first (xxhsum's canonical form).
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Digest of one piece of memory.
std::string digest_of(const void* bytes, std::size_t size);
std::string digest_of(std::string_view characters);

}  // namespace trainer
