#pragma once

#include <cstdint>
#include <span>

#include "trainer/comm/communicator.h"
#include "trainer/nn/network.h"

namespace trainer::train {

/// Collective. Every rank holds all parameters and running statistics, bit for bit the same. Throws
/// AgreedError(communication) that names the ranks which hold others than most, and the first tensor: a
/// fault of memory, processor or network that nothing else would notice. `step` is for the message.
void require_same_replicas(const comm::Communicator& world, const nn::Network& network,
                           std::span<const float> parameters, std::span<const float> statistics,
                           std::int64_t step);

}  // namespace trainer::train
