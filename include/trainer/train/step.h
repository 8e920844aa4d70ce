#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/team.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"
#include "trainer/nn/pass.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/penalty.h"

namespace trainer::train {

/// Norms of one parameter tensor.
struct TensorNorms {
  double gradient = 0;  ///< of the mean loss, without penalties
  double value = 0;     ///< after the step
  double update = 0;    ///< of what the step added to the values
};

/// What a step shows when it is asked to.
struct StepObservation {
  nn::Observation pass;
  double gradient_square = 0;        ///< of the mean loss's gradient, without penalties
  std::vector<TensorNorms> tensors;  ///< as Network::parameters(); only with Settings::tensor_norms
};

/// What happened in a step, the same on every rank.
struct StepResult {
  double loss_sum = 0;  ///< over the rows of the batch, without penalties
  double correct = 0;   ///< rows predicted rightly
  std::int64_t rows = 0;
  double gradient_norm = 0;                    ///< before clipping; only when asked for or clipping
  bool stop_requested = false;                 ///< by any rank
  bool checkpoint_requested = false;           ///< by any rank
  std::optional<StepObservation> observation;  ///< when it was asked for
};

/// Seconds of this rank, summed over steps.
struct StepSeconds {
  double total = 0;
  double read = 0;         ///< gathering rows (a thread's share)
  double wait = 0;         ///< until the slowest rank had finished its backward pass
  double communicate = 0;  ///< the rest of the exchange, as far as nothing was computed meanwhile
  double compute() const { return total - read - wait - communicate; }
};

/// What a rank wants to tell the others with the next step.
struct StepRequests {
  bool stop = false;
  bool checkpoint = false;
  bool observe = false;  ///< the same on every rank
};

/// The synchronous data-parallel step: forward and backward of this rank's shards, exchange of gradients in
/// the fixed tree, update of this rank's slices, exchange of parameters. Owns the parameters (every rank all
/// of them), the running statistics, and the optimizer's state of this rank's slices.
class Step {
 public:
  struct Settings {
    std::int64_t shards = 1;
    std::vector<std::int64_t> batches;        ///< sizes that may come, the largest first
    std::vector<std::int64_t> measured = {};  ///< sizes for measure()
    optim::Penalty penalty;
    double clip_norm = 0;  ///< 0: off
    bool report_gradient_norm = false;
    double max_norm = 0;        ///< largest norm of the weights into a unit; 0: off
    double average = 0;         ///< decay of the exponential average of the parameters; 0: none is kept
    bool tensor_norms = false;  ///< of observed steps
    std::uint64_t seed = 1;
    bool overlap = true;  ///< parameters come in under the next step's forward pass; the same bits without
    bool shared_gradients = true;  ///< ranks of a node fold each other's gradients where they lie; likewise
  };
  /// Collective.
  Step(const comm::Communicator& world, Team& team, const nn::Network& network, const nn::Loss& loss,
       nn::TargetForm form, const optim::Optimizer& optimizer, Settings settings);
  ~Step();

  /// The rows of a batch that this rank computes, within the batch.
  Range rows(std::int64_t batch) const;

  /// Collective. One step on `batch` rows; `source`: this rank's rows, local. `step` counts from 1.
  /// Throws comm::AgreedError(numeric) on all ranks: before any parameter has changed when the loss, a
  /// gradient or a running statistic is not finite, after the update when parameters or states of the
  /// optimizer are not.
  StepResult run(const nn::RowSource& source, std::int64_t batch, std::int64_t step, double rate,
                 StepRequests requests);

  /// Every rank has sent the others what it changed when this returns on all; until the first use of
  /// parameters, by whoever it is, they may be on their way. Waits, but not for the same call of others.
  void wait_for_parameters() const;
  /// Whole: they wait for what is on its way. Valid until the next run().
  std::span<float> parameters();
  std::span<float> statistics();
  std::span<const float> parameters() const;
  std::span<const float> statistics() const;
  /// Collective. State `index` of all slices as a flat vector like the parameters, on rank 0 only.
  std::vector<float> gather_state(std::size_t index) const;
  /// Takes this rank's slices of a flat vector (given on every rank).
  void set_state(std::size_t index, std::span<const float> flat);

  /// Whether there is an average: from the first step on, when it is asked for.
  bool has_average() const;
  /// Collective. The exponential average of parameters and running statistics, on rank 0 only (elsewhere
  /// empty). When has_average().
  void gather_average(std::vector<float>& parameters, std::vector<float>& statistics) const;
  /// Takes an average, given whole on every rank.
  void set_average(std::span<const float> parameters, std::span<const float> statistics);
  /// Collective. Merges what the batch norms are given by `batch` rows into `population`: the forward pass of
  /// training with `parameters`, without dropout and noise. Rows as in run(); `batch`: one of
  /// Settings::measured.
  void measure(const nn::RowSource& source, std::int64_t batch, const float* parameters,
               nn::Population& population);

  /// The penalty of the current parameters; the same on every rank. Not collective.
  double penalty() const;

  const StepSeconds& seconds() const;
  std::int64_t bytes_sent_last_step() const;  ///< by this rank: gradients and parameters
  std::int64_t bytes_sent() const;            ///< by this rank: everything, since construction
  std::int64_t memory_bytes() const;
  std::int64_t pieces_of_job() const;  ///< maximal subtrees over all ranks

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Floats of a block: the unit in which slices are cut and norms are summed. A function of the network's size
/// alone.
std::int64_t block_floats(std::int64_t parameter_floats);

}  // namespace trainer::train
