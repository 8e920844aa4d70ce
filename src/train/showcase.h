#pragma once

// What a report shows of a trained classifier beside its figures. Private to this room.

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/team.h"
#include "trainer/nn/pass.h"
#include "trainer/train/prepare.h"
#include "trainer/train/rows.h"

namespace trainer::train {

/// A row as a classifier sees it.
struct Example {
  std::int64_t row = 0;  ///< of the data set
  std::int64_t target = 0, predicted = 0;
  float probability = 0;  ///< of the target
};

/// Collective. The rows of `source`, [0, rows), whose own class gets the least probability; of equals the
/// first. The same on every rank and for any number of them. `outputs`: of the network; the pass is made for
/// chunks of `rows`.
std::vector<Example> most_wrong(const comm::Communicator& world, const Team& team,
                                const nn::RowSource& source, std::int64_t rows, const nn::Inference& pass,
                                std::int64_t outputs);

/// Rank 0. examples.h5: the inputs of these rows in original units, and what was said of them. Throws
/// Error(data).
void write_examples(const std::string& path, const data::DataSet& data, const std::vector<Example>& examples);

/// Rank 0. surface.h5: what a model with two inputs says of the plane where the training rows lie, and some
/// of these. Throws Error(data).
void write_surface(const std::string& path, const Prepared& prepared, const float* parameters,
                   const float* statistics);

}  // namespace trainer::train
