#pragma once

#include <cstdint>
#include <string>

namespace trainer::data {

/// Bytes that `option`, written as `value`, means on this node: `60 %` of its memory (of the process's cgroup
/// where that has less), `8G`, `500 MiB`, `2e9`. Throws Error(usage) for anything else.
std::int64_t memory_bytes(const std::string& option, const std::string& value);

}  // namespace trainer::data
