#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/core/function_ref.h"
#include "trainer/core/team.h"
#include "trainer/core/tree.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"

namespace trainer::nn {

/// Where a pass gets its rows from. Called by all threads at once; rows are local to the pass.
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// out: [rows, inputs], scaled.
  virtual void inputs(Range rows, float* out) const = 0;
  /// out: [rows]; called when the targets are classes.
  virtual void classes(Range rows, std::int32_t* out) const = 0;
  /// out: [rows, outputs]; called when the targets are values.
  virtual void values(Range rows, float* out) const = 0;
  /// The index in the data set of a local row: what its random numbers are drawn by.
  virtual std::int64_t sample(std::int64_t row) const = 0;
  /// Whether rows have weights. A source that wraps another one passes both on.
  virtual bool weighted() const { return false; }
  /// out: [rows], what each row's loss and gradient are multiplied by; called when weighted(). The average
  /// loss is still a sum divided by the number of rows.
  virtual void weights(Range /*rows*/, float* /*out*/) const {}
};

enum class TargetForm { classes, values };

/// Folds records of doubles over the shards of all ranks, in the fixed tree. `channel` numbers the folds of
/// one step; start() does not wait, so that other work may go on until finish().
class ShardFold {
 public:
  /// left <- left (+) right, for the nodes that the records belong to.
  using Combine = FunctionRef<void(Range left_node, Range right_node, double* left, const double* right)>;
  virtual ~ShardFold() = default;
  /// `records`: this rank's pieces, one after the other, `width` doubles each.
  virtual void start(int channel, std::span<const double> records, std::int64_t width) = 0;
  virtual void finish(int channel, const Combine& combine, std::span<double> total) = 0;
};

/// How a batch lies on the shards, and which of them this rank computes. Shards and pieces are numbered over
/// the whole job.
struct ShardPlan {
  std::int64_t shards = 1;
  Range run;                  ///< this rank's shards
  std::vector<Range> pieces;  ///< the maximal subtrees of `run`
  /// By piece: where its gradient goes, parameter_floats() that are zero at first; empty: into memory of the
  /// pass's own.
  std::vector<float*> gradients = {};
};

/// Rows of a unit of work for forward and backward-data, from the configuration alone.
std::int64_t unit_rows(std::int64_t batch, std::int64_t shards);

/// What a step shows when it is asked to: of the whole batch, the same on all ranks, and the same bits for
/// any number of ranks and threads.
struct Observation {
  /// Sums over the shards that have rows; g is a shard's gradient, summed over its rows and not divided (with
  /// batch norm over the whole batch: its part of the batch's gradient).
  double squares = 0;          ///< of |g|^2
  double squares_per_row = 0;  ///< of |g|^2 / rows of the shard: its mean is rows |G|^2 + shards tr Sigma
  std::int64_t shards = 0;     ///< that have rows
  struct Dense {
    std::string path;
    double mean_delta = 0;  ///< mean over rows and units of |d loss of the row / d output of the layer|
  };
  std::vector<Dense> dense;  ///< every dense layer, projections too, in the order of Network::layers()
  struct Relu {
    std::string path;
    std::int64_t units = 0;
    std::int64_t dead = 0;  ///< units that are 0 for every row of the batch
  };
  std::vector<Relu> relus;  ///< every relu (the rest of its family has no dead units), in forward order
};

/// What the batch norms of a network were given over several batches, merged.
struct Population {
  std::int64_t rows = 0;
  std::vector<std::vector<double>>
      moments;  ///< by batch norm: mean [width], sum of squared deviations [width]

  /// Takes mean and unbiased variance for the running statistics. Below 2 rows they stay as they are.
  void store(const Network& network, float* statistics) const;
};

/// Parameters that come in while the forward pass is under way already. Called by the calling thread alone;
/// layers as in Network::layers().
class Arrival {
 public:
  virtual ~Arrival() = default;
  /// Whether the parameters of a layer are here. Does not wait.
  virtual bool is_here(int layer) = 0;
  /// Returns when they are.
  virtual void wait(int layer) = 0;
};

/// Forward and backward of one rank's shards of a mini-batch. Memory: activations and gradients of the rank's
/// rows, one gradient vector for each piece.
class TrainingPass {
 public:
  /// `batches`: every batch size that may come (kernels are made for these and no others); the first is the
  /// largest. `measured`: the sizes for measure(), which may be larger.
  TrainingPass(const Network& network, const Loss& loss, TargetForm form, const Team& team, ShardPlan plan,
               std::span<const std::int64_t> batches, ShardFold& fold,
               std::span<const std::int64_t> measured = {});
  ~TrainingPass();

  /// The rows of the batch that this rank computes: the local rows of a RowSource count from
  /// rows(batch).begin.
  Range rows(std::int64_t batch) const;
  /// Whether a node of the tree has any row in a batch of this size.
  static bool present(Range node, std::int64_t batch, std::int64_t shards);

  /// Collective through the fold when the net has batch norm. Forward and loss; `statistics` (running
  /// statistics) are updated. Returns this rank's sums, one for each piece. `step` addresses the random
  /// numbers. With `arrival` no parameter of a layer is read before it is told to be here, which is asked for
  /// in the order of computation; null: all are.
  std::span<const LossSums> forward(const RowSource& source, std::int64_t batch, std::uint64_t seed,
                                    std::uint64_t step, const float* parameters, float* statistics,
                                    Arrival* arrival = nullptr);
  /// Collective through the fold when the net has batch norm. After forward, with the same parameters. Calls
  /// `done(layer)` when the gradient sums of a layer (not divided by the number of rows) stand in every
  /// present piece; layers come in the order of Network::layers().
  void backward(FunctionRef<void(int layer)> done);
  /// Collective through the fold when the net has batch norm. The forward pass of training, every batch norm
  /// with the statistics of the batch, but without dropout and noise, as far as the last batch norm: no
  /// targets are asked of the source and no loss is computed. Merges what the batch norms were given into
  /// `population` (Ioffe and Szegedy 2015, algorithm 2, with variances merged instead of averaged).
  void measure(const RowSource& source, std::int64_t batch, const float* parameters, Population& population);
  /// From now on, whether steps are watched; to be set before forward. Nothing of it is computed when off (as
  /// it is at first); on, a step takes some percent longer.
  void observe(bool on);
  /// After a backward that was watched: |g|^2 of each of this rank's shards (see Observation), 0 without
  /// rows.
  std::span<const double> shard_squares() const;
  /// **Collective** through the fold. After a backward that was watched.
  Observation observation();
  /// Values of the last forward that are not finite: where they came up first.
  struct NotFinite {
    std::size_t place = 0;    ///< in the order of computation, to be compared with other ranks'
    std::string layer;        ///< path; empty: the inputs themselves
    Range rows;               ///< of the batch, from the first such row to past the last
    std::int64_t sample = 0;  ///< of the first such row
  };
  /// Not collective; reads all activations: for the message of a run that ends.
  std::optional<NotFinite> find_not_finite() const;
  /// The flat gradient vector of a piece.
  const float* gradient(std::size_t piece) const;
  std::int64_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What an evaluation asks of a network, or of several that stand for one.
class Inference {
 public:
  static constexpr std::int64_t kChunk = 256;
  virtual ~Inference() = default;
  /// One chunk: local rows [rows) of the source, at most kChunk. Where they are not null, `outputs` gets the
  /// activated outputs [rows, outputs], `raw` what classes are predicted from, by predicted_class and
  /// threshold(). Thread-safe for different `thread`.
  virtual LossSums run(const RowSource& source, Range rows, int thread, float* outputs = nullptr,
                       float* raw = nullptr) const = 0;
  virtual float threshold() const = 0;
};

/// Forward with fixed parameters: evaluation and prediction, in chunks of kChunk rows counted from row 0 of
/// the data set. Each thread computes whole chunks.
class InferencePass final : public Inference {
 public:
  /// `sizes`: the numbers of rows a chunk may have (kernels are made for these).
  InferencePass(const Network& network, const Loss& loss, TargetForm form, int threads,
                std::span<const std::int64_t> sizes);
  ~InferencePass() override;
  /// To be called before run() whenever the values changed. Both must outlive the runs.
  void set(const float* parameters, const float* statistics);
  /// `raw` gets the outputs before the joint activation of the loss.
  LossSums run(const RowSource& source, Range rows, int thread, float* outputs = nullptr,
               float* raw = nullptr) const override;
  /// One of several passes over the same rows with dropout and noise at work (batch norm with its running
  /// statistics): Gal and Ghahramani, Dropout as a Bayesian Approximation, 2016. What is drawn is a pure
  /// function of (seed, number, sample, layer, unit).
  struct Sampling {
    std::uint64_t seed = 0;
    std::uint64_t number = 0;  ///< below 2^63
  };
  /// As run(), without a loss: no targets are asked of the source. `sampling` null: the plain pass.
  void predict(const RowSource& source, Range rows, int thread, float* outputs, float* raw = nullptr,
               const Sampling* sampling = nullptr) const;
  float threshold() const override;

 private:
  const float* forward(const RowSource& source, Range rows, int thread, const Sampling* sampling) const;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::nn
