#pragma once

// Models out of checkpoints, for inference. Private to this room.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/data_set.h"
#include "trainer/nn/network.h"
#include "trainer/train/rows.h"

namespace trainer::train {

/// What a checkpoint says about its model, and the model itself; the same on every rank.
struct LoadedModel {
  std::string file;
  std::string model, loss_text, task, validation, encoding;
  std::string missing = "error";  ///< --missing of its run
  std::int64_t inputs = 0, outputs = 0, classes = 0, split_seed = 0;
  bool is_average = false;               ///< the weights are those of --average
  std::vector<std::string> class_names;  ///< empty when unknown
  Scalings scalings;
  nn::Loss loss;
  std::unique_ptr<nn::Network> network;
  std::vector<float> parameters, statistics;

  bool reconstructs() const { return task == "autoencoder"; }
  /// How outputs that are values are scaled; no columns: they are not.
  const data::Scaling& target_scaling() const { return reconstructs() ? scalings.inputs : scalings.targets; }
};

/// **Collective.** The models of checkpoint files and run folders (then their best.h5), at least one, read by
/// rank 0. `threads`: of the team that will run them. Throws AgreedError(data) for what cannot be read or is
/// no model, and unless all of them agree in inputs, outputs, task and classes: several are one ensemble.
std::vector<LoadedModel> load_models(const comm::Communicator& world, const std::vector<std::string>& paths,
                                     int threads);

/// The --missing by which data for these models are read: `asked`, or as the first was trained where that is
/// empty; rows that are predicted are never left out. For `mean` the models' scalings come to fill values in.
/// Throws Error(usage) where they cannot.
std::string settle_missing(std::vector<LoadedModel>& models, const std::string& asked, bool predicts);

/// Throws Error(data) unless the model takes such inputs and, where there are targets, gives such outputs.
void require_fit(const LoadedModel& model, const data::DataFacts& facts);

}  // namespace trainer::train
