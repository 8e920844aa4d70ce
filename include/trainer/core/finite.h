#pragma once

#include <cstdint>

namespace trainer {

/// Whether no value is infinite or NaN.
bool all_finite(const float* values, std::int64_t count);

}  // namespace trainer
