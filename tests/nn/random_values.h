#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reference.h"
#include "simulated_job.h"
#include "trainer/nn/network.h"
#include "trainer/nn/pass.h"

namespace trainer::nn {

/// Rows with random inputs and targets that fit the setup, and samples that are not the row numbers.
reference::Batch random_batch(std::int64_t rows, const simulation::JobSetup& setup, std::uint64_t seed);

/// Parameters and running statistics, every tensor with values that matter (no zero biases); gaps are zero.
struct Values {
  std::vector<float> parameters, statistics;
};
Values random_values(const Network& network, std::uint64_t seed);

/// Flat vectors as the reference wants them.
reference::Tensors to_tensors(const std::vector<Tensor>& tensors, const float* flat);

}  // namespace trainer::nn
