#pragma once

#include <string>

#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"
#include "trainer/nn/pass.h"
#include "trainer/optim/optimizer.h"

namespace trainer::train {

/// The digest `arithmetic`: the run's own kernels (forward and backward of the last of `shards` shards of a
/// batch of `batch` rows, in the run's own units, and a chunk of inference, the optimizer, functions of the C
/// library) on fixed inputs. Processors, or builds of libraries, that compute alike give the same digest. Not
/// collective. Cost: one shard's forward and backward.
std::string arithmetic_digest(const nn::Network& network, const nn::Loss& loss, nn::TargetForm form,
                              const optim::Optimizer& optimizer, std::int64_t batch, std::int64_t shards,
                              int threads);

}  // namespace trainer::train
