#pragma once

// The update of the parameters that this rank owns. Private to this room.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "trainer/comm/tree_exchange.h"
#include "trainer/core/buffer.h"
#include "trainer/core/team.h"
#include "trainer/nn/network.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/penalty.h"
#include "trainer/train/step.h"

namespace trainer::train {

/// Between the two halves of the exchange: folds the gradients of this rank's slices, adds penalties,
/// measures norms over blocks, and lets the optimizer change the slices. Its state lives here, for these
/// slices only.
class SliceUpdate {
 public:
  struct Settings {
    optim::Penalty penalty;
    double average = 0;         ///< decay of the exponential average of the parameters; 0: none is kept
    bool tensor_norms = false;  ///< tensor_norms() will be called
  };
  /// What the exchange must be made with: the layers with their tensors, and the floats of a block.
  static std::vector<comm::Segment> segments(const nn::Network& network);

  /// Collective. All references outlive this object.
  SliceUpdate(const comm::Communicator& world, const Team& team, const nn::Network& network,
              const optim::Optimizer& optimizer, const comm::GradientExchange& exchange, std::int64_t block,
              Settings settings);

  /// The mean gradient of this rank's slices of some layers over `batch` rows, penalties included, and the
  /// sums of squares of their blocks; with `observe`, also those without penalties, and the parameters as
  /// they are now. After wait_gradient of these layers.
  void fold(Range layers, std::int64_t batch, const float* parameters, bool observe);
  /// A layer whose gradient is not finite in this rank's slice, or -1. After fold() of all layers.
  double not_finite_layer() const;
  /// Collective. The norm of the whole gradient: sums over blocks, added in their order. After fold() of all
  /// layers. The first does not wait.
  void start_gradient_norm();
  double finish_gradient_norm();
  /// Collective. The square of the norm without penalties. After fold() of all layers that observes.
  double loss_gradient_square();
  /// Collective for layer-wise optimizers (lars, lamb), whose norms are summed over the blocks of a tensor.
  /// Changes this rank's slices of `parameters`; the gradient is multiplied by `factor` before. Returns a
  /// layer whose parameters or state are not finite afterwards, or -1.
  double update(float* parameters, double rate, std::int64_t step, double factor);

  /// Takes the parameters after step `step` (from 1) into their average, in which step i of t has the weight
  /// decay^(t - i) (1 - decay) / (1 - decay^t). `step` counts from the start of the run.
  void average(const float* parameters, std::int64_t step);
  /// Collective. By tensor, of the step that began with a fold() that observes and has changed `parameters`.
  std::vector<TensorNorms> tensor_norms(const float* parameters);

  /// The penalty of all parameters. The same on every rank. Not collective.
  double penalty(const float* parameters) const;

  /// Collective. State `index` of all slices as a flat vector like the parameters, on rank 0 only.
  std::vector<float> gather_state(std::size_t index) const;
  /// Takes this rank's slices of a flat vector (given on every rank).
  void set_state(std::size_t index, std::span<const float> flat);
  /// The same for the average.
  std::vector<float> gather_average() const { return gather(average_); }
  void set_average(std::span<const float> flat) { scatter(flat, average_); }

  std::int64_t bytes_sent() const;
  std::int64_t memory_bytes() const;

 private:
  /// A run of blocks of one tensor in this rank's slices: the unit of work.
  struct Chunk {
    int layer = 0;
    int tensor = 0;         ///< index in Network::parameters()
    Range floats;           ///< of the flat vector
    std::int64_t at = 0;    ///< where they begin in each state, and in gradient_
    std::size_t block = 0;  ///< the first in block_sums_
  };
  /// The step of one chunk: its parameters, gradient and arrays of state.
  struct Place {
    float* parameters;
    float* gradient;
    std::array<float*, 4> arrays;
    std::int64_t count;
    bool decayed;
  };
  static constexpr std::size_t kSums = 3;  ///< that are folded together
  using TensorSums = std::array<double, kSums>;
  void add_chunks(int layer);
  Place place(const Chunk& chunk, float* parameters, float* gradient);
  /// Where a chunk's gradient is made: again for the update, where no norms of tensors are asked for between,
  /// so that it goes to no memory but the thread's first-level cache.
  float* room_for_gradient(const Chunk& chunk, int thread);
  void average_gradient(const Chunk& chunk, float* mine) const;
  void add_penalty(const Chunk& chunk, const float* parameters, float* mine) const;
  std::vector<double> trust_ratios(float* parameters, std::int64_t step);
  void lay_out_norms();
  void sum_squares(const Chunk& chunk, const float* values, double* sums) const;
  std::vector<TensorSums> fold_by_tensor(std::span<const double> mine);
  void start_total(std::span<const double> mine);
  double finish_total();
  std::vector<float> gather(const Buffer<float>& slices) const;
  void scatter(std::span<const float> flat, Buffer<float>& slices) const;
  bool is_penalised(int tensor) const;

  const comm::Communicator& world_;
  const Team& team_;
  const nn::Network& network_;
  const optim::Optimizer& optimizer_;
  const comm::GradientExchange& exchange_;
  std::int64_t block_;
  Settings settings_;

  std::vector<Chunk> chunks_;              ///< layer by layer
  std::vector<std::int64_t> slice_begin_;  ///< by layer: where its slice begins in each state
  Buffer<float> gradient_;  ///< this rank's slices, one after the other; layer-wise optimizers'
  std::vector<Buffer<float>> chunk_gradients_;  ///< by thread, for the other optimizers
  std::int64_t batch_ = 1;                      ///< rows of the gradient
  std::vector<Buffer<float>> state_;            ///< likewise
  Buffer<float> average_;                       ///< likewise
  Buffer<float> before_;                        ///< likewise: the parameters before an observed step
  std::vector<double> block_sums_;       ///< by block of this rank's slices: sum of squares of the gradient
  std::vector<double> loss_block_sums_;  ///< the same without penalties

  std::unique_ptr<comm::SmallFold> norm_fold_;    ///< one sum a block
  std::vector<double> sent_sums_, all_sums_;      // of a fold of norms, kept from step to step
  std::unique_ptr<comm::SmallFold> tensor_fold_;  ///< kSums a block
  std::vector<int> block_tensors_;                ///< of every block of the job, in order: its tensor
  std::size_t most_blocks_ = 1;                   ///< of any rank
  std::vector<std::size_t>
      block_places_;  ///< of every block of the job, in order: its place in the gathered sums
};

}  // namespace trainer::train
