#pragma once

// What the losses of the training rows are multiplied by. Private to this room.

#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/train/configuration.h"
#include "trainer/train/prepare.h"

namespace trainer::train {

/// Collective. The factor of every row of the training data set, from --class-weights (balanced: rows / (K
/// rows of the class), over the training rows alone) times --sample-weights; empty when neither is given.
/// Memory: 4 bytes a row on every rank; labels are read once, by all ranks together. Training alone is
/// weighted: train_loss is, val_loss is not. Rank 0 reads the file, which has a factor for each row that
/// --missing drop leaves. Throws comm::AgreedError on all ranks: usage for a text that does not fit the
/// classes, data for a file that does not fit the rows or holds a value that is negative or not finite.
std::vector<float> row_weights(const comm::Communicator& world, const Configuration& configuration,
                               const PreparedData& data);

}  // namespace trainer::train
