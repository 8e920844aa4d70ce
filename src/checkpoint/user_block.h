#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace trainer::checkpoint {

constexpr std::int64_t kUserBlockBytes = 512;
constexpr std::int64_t kVersion = 1;

/// What a checkpoint's first 512 bytes say of the rest: one readable line, then NUL characters.
///     trainer checkpoint 1 xxh3-128 <32 hexadecimal digits> <bytes after the block>\n
struct UserBlock {
  std::string digest;      ///< XXH3-128 of everything after the block
  std::int64_t bytes = 0;  ///< how many bytes that is
};

/// Whether a text is a digest as they are written: 32 lower-case hexadecimal digits. What is read from a file
/// stands in messages only when it is.
bool is_digest(std::string_view text);

/// The block as it is written.
std::array<std::byte, kUserBlockBytes> make_user_block(const UserBlock& block);

/// Reads a block. Throws Error(data) beginning with `name` when it is not, to the byte, what make_user_block
/// writes.
UserBlock parse_user_block(std::span<const std::byte, kUserBlockBytes> bytes, const std::string& name);

}  // namespace trainer::checkpoint
