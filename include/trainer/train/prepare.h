#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/open.h"
#include "trainer/data/order.h"
#include "trainer/data/split.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"
#include "trainer/train/configuration.h"
#include "trainer/train/metrics.h"
#include "trainer/train/rows.h"
#include "trainer/train/stopping.h"
#include "trainer/train/tuning.h"

namespace trainer::train {

/// Numbers of a run that follow from the configuration and the data.
struct Plan {
  std::int64_t batch = 0;
  std::int64_t shards = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t evaluate_every = 0;    ///< steps
  std::int64_t checkpoint_every = 0;  ///< steps; 0: by time
  double checkpoint_seconds = 0;      ///< > 0: by time
  double rate = 0;                    ///< peak learning rate
};

/// The data as a run takes it: split, scaled, in order.
struct PreparedData {
  data::OpenedData opened;
  data::Split split;
  Scalings scalings;
  nn::TargetForm form = nn::TargetForm::classes;
  std::string task;
  std::string shuffle;  ///< resolved
  std::vector<std::string> notes;
  std::vector<float> row_weights;  ///< of all rows of opened.train, for training; empty: 1

  /// Of row_weights; empty when there are none.
  std::string weights_digest() const;
  const data::DataFacts& facts() const { return opened.train->facts(); }
  /// For evaluations by a network of so many outputs.
  RowFacts row_facts(std::int64_t outputs) const;
  /// How targets that are values are scaled: an autoencoder's are the inputs.
  const data::Scaling& target_scaling() const { return reconstructs() ? scalings.inputs : scalings.targets; }
  bool reconstructs() const { return task == "autoencoder"; }
  const data::DataSet& validation_set() const {
    if (split.of == data::Split::Of::own) return *opened.validation;
    return split.of == data::Split::Of::test ? *opened.test : *opened.train;
  }
};

/// Everything that is decided before the first step, the same on every rank.
struct Prepared {
  std::shared_ptr<const PreparedData> data;
  nn::Loss loss;
  std::unique_ptr<nn::Network> network;
  std::unique_ptr<optim::Optimizer> optimizer;
  Plan plan;
  Tuning tuning;
  std::string schedule_text, warmup_text;
  std::unique_ptr<Stopping> stopping;
  std::optional<Goal> goal;
  std::vector<std::string> metric_names;  ///< of one evaluation, without prefix: loss, accuracy
  MetricList metrics;                     ///< of evaluations alone, beside those
  bool has_validation = false, has_test = false;
  bool averages = false;            ///< the weights: --average
  bool tensor_norms = false;        ///< are measured: --log-gradients
  data::Augmentation augmentation;  ///< of the training rows
  std::unique_ptr<const data::EpochOrder> order;
  std::vector<std::string> notes;               ///< about the data and what was taken
  std::map<std::string, std::string> resolved;  ///< option values that were left open, by option name

  /// The figures of an evaluation, without prefix: metric_names and metrics.
  std::vector<std::string> evaluated() const;
  /// How the targets are given in training: mixed classes are distributions. In evaluation as in data.form.
  nn::TargetForm training_form() const { return augmentation.mixes() ? nn::TargetForm::values : data->form; }
  optim::Schedule schedule(std::int64_t horizon) const {
    return {schedule_text, warmup_text, plan.rate, horizon, plan.steps_per_epoch};
  }
};

/// Collective. Resolves every option against the data. Throws comm::AgreedError on all ranks.
Prepared prepare(const comm::Communicator& world, std::shared_ptr<const PreparedData> data,
                 const Configuration& configuration, int threads);

/// What a model of a checkpoint says about the data that it takes.
struct KnownModel {
  Scalings scalings;
  std::vector<std::string> class_names;
  std::string encoding;          ///< DataFacts::encoding
  bool without_targets = false;  ///< targets are not looked for
};

/// Collective. The data of a run, with the weights of their rows. `scalings`: those of a run that goes on,
/// else they are measured. Throws comm::AgreedError on all ranks.
std::shared_ptr<const PreparedData> prepare_training_data(const comm::Communicator& world,
                                                          const comm::Communicator& node,
                                                          const Configuration& configuration,
                                                          const std::optional<Scalings>& scalings = {});

/// What the options about data ask for. `known`: the model that the data are for.
data::Request request_of(const Configuration& configuration, const KnownModel* known = nullptr);

/// Collective. Opens, splits and scales the data alone. `known`: the model that it is for, whose scalings are
/// taken instead of new ones, as `scalings` are if they have as many columns.
PreparedData prepare_data(const comm::Communicator& world, const comm::Communicator& node,
                          const Configuration& configuration, const KnownModel* known = nullptr,
                          const Scalings* scalings = nullptr);

/// A duration: "90 min", "30 s", "2 h", "24:00:00", "1-00:00:00"; in seconds. Throws Error(usage) naming the
/// option.
double parse_duration(const std::string& option, const std::string& text);

/// Bytes of one rank of a job of `ranks` ranks: parameters, gradients, optimizer state, activations.
std::int64_t estimated_bytes(const Prepared& prepared, int ranks);

}  // namespace trainer::train
