#pragma once

// What gradients.csv says. Private to this room.

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/nn/network.h"
#include "trainer/report/csv.h"
#include "trainer/train/step.h"

namespace trainer::train {

/// step, layer, gradient_norm, mean_delta, weight_norm, update_ratio, dead_share.
extern const std::vector<std::string> kGradientColumns;

/// Whether step `step` is written: 1, 2, 4, 8, ... and those before an evaluation.
bool is_gradient_step(std::int64_t step, std::int64_t evaluate_every);

/// A row for each layer with parameters, from the input on, then one for each relu. gradient_norm,
/// weight_norm and update_ratio (norm of the step's update / norm of the values) are of the layer's first
/// tensor: the weight of a dense layer, the scale of a norm (values that are all 0 have the ratio inf or
/// nan); mean_delta is the mean |d loss / d output| over
/// rows and units of a dense layer; dead_share the share of a relu's units that are 0 for every row of the
/// batch. What does not apply is empty.
std::vector<std::vector<report::CsvCell>> gradient_rows(const nn::Network& network, std::int64_t step,
                                                        const StepObservation& seen);

}  // namespace trainer::train
