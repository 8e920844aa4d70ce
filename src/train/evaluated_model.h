#pragma once

// Which weights and statistics an evaluation sees. Private to this room.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/order.h"
#include "trainer/nn/network.h"
#include "trainer/train/rows.h"
#include "trainer/train/step.h"

namespace trainer::train {

/// The model that is evaluated and kept as best: the weights of the moment, or with --average their
/// exponential average; with --population-statistics exact, batch norms have the statistics of the training
/// rows under just these weights.
class EvaluatedModel {
 public:
  struct Settings {
    bool average = false;
    bool exact = false;      ///< statistics
    std::int64_t batch = 0;  ///< rows of a training step
    std::int64_t rows = 0;   ///< training rows
  };
  /// The rows of each part of the pass over the training rows that exact statistics take: even parts of at
  /// most a batch or 256 rows, whichever is more. In a part of a few rows a batch norm would hide from the
  /// next one how far rows differ.
  static std::vector<std::int64_t> sizes(const Settings& settings);
  /// The most rows of a part.
  static std::int64_t part_rows(std::int64_t batch) { return std::max<std::int64_t>(batch, 256); }
  /// `order`: of the training rows; the pass takes them as epoch 0 does. `source`: as they are, not
  /// augmented. All references outlive this object.
  EvaluatedModel(const comm::Communicator& world, const nn::Network& network, Step& step,
                 const data::EpochOrder& order, ListedRows& source, Settings settings)
      : world_(world), network_(network), step_(step), order_(order), source_(source), settings_(settings) {}

  /// Collective. To be called after steps, before what follows is asked for; until then it is the step's own
  /// model.
  void refresh();
  std::span<const float> parameters() const;
  std::span<const float> statistics() const;

 private:
  void measure_population();

  const comm::Communicator& world_;
  const nn::Network& network_;
  Step& step_;
  const data::EpochOrder& order_;
  ListedRows& source_;
  Settings settings_;
  bool is_fresh_ = false;
  std::vector<float> parameters_, statistics_;  ///< where they are not the step's own
};

}  // namespace trainer::train
