#pragma once

#include "trainer/train/configuration.h"

namespace trainer::cli {

/// The job of `trainer` without options: Fashion-MNIST. Sets what differs from the defaults of the options.
void apply_default_recipe(train::Configuration& configuration);

}  // namespace trainer::cli
