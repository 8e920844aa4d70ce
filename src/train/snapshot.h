#pragma once

// What of a run goes into a checkpoint, and back. Private to this room.

#include <cstdint>
#include <string>
#include <vector>

#include "records.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/comm/communicator.h"
#include "trainer/train/noise_scale.h"
#include "trainer/train/prepare.h"
#include "trainer/train/step.h"
#include "trainer/train/stopping.h"

namespace trainer::train {

/// Where a run stands: everything that a resumed run needs and that is not a tensor. The same on every rank.
struct Progress {
  std::int64_t step = 0;     ///< done
  std::int64_t horizon = 0;  ///< of the schedule: the steps planned at the first start
  double loss_sum = 0;       ///< over the steps since the previous row of metrics.csv
  double correct_sum = 0;
  std::int64_t sum_rows = 0;
  Stopping::State stopping;
  optim::ScheduleState schedule;  ///< of a schedule that follows the evaluations
  NoiseScale::State noise;
  RowCounts csv_rows;
  static constexpr std::int64_t kNot = 0, kAllSteps = 1, kEarlyStopping = 2, kGoal = 3;
  std::int64_t ended = kNot;  ///< what ended the run
  std::int64_t goal_step = -1;
  std::int64_t goal_samples = 0;
};

/// The columns of metrics.csv, kept for the checkpoint.
struct History {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> values;  ///< by column
  void append(const std::vector<double>& row);
};

/// A model in memory: flat parameters and running statistics.
struct ModelValues {
  std::vector<float> parameters, statistics;
};

/// The tensors under /model in checkpoint layout.
std::vector<checkpoint::Tensor> model_tensors(const nn::Network& network, std::span<const float> parameters,
                                              std::span<const float> statistics);
ModelValues copy_of(std::span<const float> parameters, std::span<const float> statistics);

/// The best model so far: its values, and where the run stood then.
struct BestModel {
  ModelValues model;
  Progress progress;
};

/// The `weights` digest of a model.
std::string weights_digest(const nn::Network& network, std::span<const float> parameters,
                           std::span<const float> statistics);

/// Fills a model from tensors. Throws Error(data) naming `where` when a tensor is missing, has another shape,
/// or there is one too many. With `statistics_may_lack`, missing running statistics keep their values.
void set_model(const nn::Network& network, const std::vector<checkpoint::Tensor>& tensors,
               bool statistics_may_lack, const std::string& where, std::span<float> parameters,
               std::span<float> statistics);

/// The same for a model of its own, complete with its statistics.
ModelValues read_model(const nn::Network& network, const std::vector<checkpoint::Tensor>& tensors,
                       const std::string& where);

/// Raised whenever the same configuration gives other bits than before: stands in every checkpoint.
inline constexpr std::int64_t kResultsVersion = 1;

/// What is the same in every checkpoint of a run.
struct RunFacts {
  std::string command, arithmetic;
  std::string config;  ///< the text of config.ini
  std::string validation;
  std::uint64_t seed = 1, split_seed = 0;
  bool averages = false;  ///< checkpoints hold the average of the weights, from the first step on
};

/// The attributes and the scaling that best.h5 and the checkpoints share; no tensors, no history.
checkpoint::Checkpoint describe_attributes(const Prepared& prepared, const RunFacts& facts,
                                           const Progress& progress);

/// All that best.h5 and the checkpoints share. Of the history, the rows that there were at `progress`.
checkpoint::Checkpoint describe(const Prepared& prepared, const RunFacts& facts, const History& history,
                                const Progress& progress, const ModelValues& model);

Progress read_progress(const checkpoint::Checkpoint& checkpoint, const std::string& where);
History read_history(const checkpoint::Checkpoint& checkpoint);
Scalings read_scalings(const checkpoint::Checkpoint& checkpoint, const std::string& where);

/// The optimizer's state, flat vectors by state (freed on the way), as tensors.
std::vector<checkpoint::Tensor> optimizer_tensors(const Prepared& prepared,
                                                  std::vector<std::vector<float>> states);
/// Throws Error(data) naming `where` unless the tensors are the optimizer's state, all of it and no more.
void require_optimizer_state(const Prepared& prepared, const std::vector<checkpoint::Tensor>& tensors,
                             const std::string& where);
/// Collective. Tensors on rank 0, as require_optimizer_state wants them, to every rank's slices.
void scatter_optimizer(const comm::Communicator& world, const Prepared& prepared,
                       const std::vector<checkpoint::Tensor>& tensors, Step& step);

}  // namespace trainer::train
