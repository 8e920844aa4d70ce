#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "trainer/core/digest.h"
#include "user_block.h"

namespace trainer::checkpoint {

/// Writes the first block of a file that was changed: the size and digest of what is behind it are right
/// again. The file has at least the block's 512 bytes.
inline void reseal(std::span<std::byte> file) {
  const auto content = file.subspan(kUserBlockBytes);
  const auto block =
      make_user_block({digest_of(content.data(), content.size()), static_cast<std::int64_t>(content.size())});
  std::ranges::copy(block, file.begin());
}

}  // namespace trainer::checkpoint
