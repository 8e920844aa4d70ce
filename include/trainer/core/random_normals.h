#pragma once

#include <cstdint>

#include "trainer/core/random.h"

namespace trainer {

/// out[i] = standard normal number i of the stream (key, index), for i < count. Words 2 j and 2 j + 1 of the
/// stream make numbers 2 j and 2 j + 1 (Box and Muller, 1958), in single precision by plain arithmetic alone:
/// the same bits on every thread and whatever the width of the vectors. With the words a and b:
/// r = sqrt(-2 ln u), u = ((a / 2) | 1) / 2^31 rounded to single precision; angle = 2 pi (b / 2^32 - 1 / 8);
/// the numbers are r cos(angle) and r sin(angle). The largest is 6.6.
void random_normals(RandomKey key, std::uint64_t index, float* out, std::int64_t count);

}  // namespace trainer
