#pragma once

#include <cstdint>
#include <string>

#include "trainer/comm/communicator.h"

namespace trainer::data {

/// **Collective** over `world`. A line for the start of a run about the first node whose ranks cannot share
/// `bytes` bytes; empty when there is none. `what` they are to hold, and what it `costs` that each rank has
/// its own, beside the memory. `shares`: what is known on a rank, true to look whether there is room.
std::string shared_room_note(const comm::Communicator& world, const comm::Communicator& node,
                             std::int64_t bytes, const std::string& what, const std::string& costs,
                             bool shares = true);

}  // namespace trainer::data
