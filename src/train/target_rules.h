#pragma once

// Which targets a loss can be trained on. Private to this room.

#include "trainer/nn/loss.h"
#include "trainer/train/prepare.h"

namespace trainer::train {

/// Not collective; reads the targets of all training rows when they are values. Throws Error(data) naming
/// row, value and remedy where a target is outside of what the loss is defined for: binary_cross_entropy
/// takes values from 0 to 1, softmax_cross_entropy and kl_divergence distributions (none below 0, sum 1).
void require_fitting_targets(const nn::Loss& loss, const PreparedData& data, std::int64_t outputs);

}  // namespace trainer::train
