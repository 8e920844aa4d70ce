#pragma once

// Private to this room.

#include "trainer/comm/communicator.h"
#include "trainer/nn/network.h"

namespace trainer::train {

/// Collective. Throws AgreedError(communication) unless all ranks run the same build and lay the parameters
/// out alike.
void require_same_layout(const comm::Communicator& world, const nn::Network& network);

}  // namespace trainer::train
