#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "simulated_job.h"

namespace trainer::nn {

/// Values that must lie within `tolerance` of the exact ones; false for nan.
testing::AssertionResult are_near(const std::vector<double>& values, const std::vector<double>& exact,
                                  double tolerance);

/// Trains for one step on each size of setup.batches and compares all that comes out with the reference.
void expect_the_reference(const simulation::JobSetup& setup, std::uint64_t seed);

}  // namespace trainer::nn
