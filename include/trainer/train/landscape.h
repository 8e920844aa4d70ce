#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "trainer/comm/communicator.h"
#include "trainer/train/configuration.h"

namespace trainer::train {

struct LandscapeRequest {
  std::string run;              ///< folder; its best.h5 is looked at
  Configuration configuration;  ///< of the run: its options for data count, and no others
  std::int64_t points = 25;     ///< in each direction, odd: the model itself is one
  double reach = 1;             ///< of the directions, on each side
  std::int64_t rows = 2000;     ///< at most, of the validation rows, else of the training rows
  int threads = 1;
  std::function<void(std::int64_t done, std::int64_t points)> progress = {};  ///< on rank 0
};

/// Collective. RUN/landscape.csv (alpha,beta,loss): the loss on a plane through the best model, at parameters
/// + alpha * first + beta * second direction, where both are normally distributed and each unit's weights of
/// a direction have the norm of that unit's weights; biases and batch norms stay (Li, Xu, Taylor, Studer,
/// Goldstein: Visualizing the Loss Landscape of Neural Nets, 2018, section 4). Shared by all ranks; the bits
/// do not depend on their number. Running statistics stay those of the model. Throws comm::AgreedError.
void write_landscape(const comm::Communicator& world, const LandscapeRequest& request);

}  // namespace trainer::train
