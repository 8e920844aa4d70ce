#pragma once

// The operations that a network is made of. Private to this room.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "onednn.h"
#include "trainer/core/buffer.h"
#include "trainer/core/random.h"
#include "trainer/core/tree.h"
#include "trainer/nn/network.h"
#include "turned_weights.h"
#include "weight_gradient.h"

namespace trainer::nn {

using Slot = Network::Slot;

/// Statistics of one batch norm in one pass, float, [groups][width]: one group for the whole batch, or one a
/// shard.
struct NormState {
  Buffer<float> mean, inverse_deviation;
  Buffer<float> mean_gradient,
      mean_gradient_x;  ///< sums of dy and dy * xhat over the group's rows, divided by their number
  bool per_shard = false;
};

/// The buffers that operations work on: those of a training batch, or of one thread's chunk in inference.
/// Rows are local.
struct View {
  bool draws = false;                    ///< dropout and noise are at work
  float* const* values = nullptr;        ///< by buffer index: [rows, width]
  float* const* gradients = nullptr;     ///< by buffer index: [rows, width]; training only
  std::uint8_t* const* masks = nullptr;  ///< by dropout index: [rows, width]; null: no backward follows
  NormState* norms = nullptr;            ///< by batch norm index
  const float* parameters = nullptr;     ///< flat
  std::uint64_t seed = 0, step = 0;
  std::uint8_t* const* active = nullptr;  ///< by thread: set to 1 for each unit of a relu that is not zero in
                                          ///< some row; null: nobody asks
  const std::int64_t* samples = nullptr;  ///< by row: index of the sample in the data set
  float* turned_weights = nullptr;        ///< of the dense layers that read them so
  Bf16* bf16_weights = nullptr;           ///< of all dense layers (see Bf16Matrix); null: products are in f32
  Bf16* const* bf16_rows = nullptr;       ///< by thread: place for a unit's rows, each padded
  float* packed = nullptr;           ///< rows of the one layer that packs() and whose gradient is computed
  std::int64_t packed_capacity = 0;  ///< rows that have place there
};

/// A run of rows of one shard: the unit of work.
struct Unit {
  Range rows;              ///< local
  std::int64_t shard = 0;  ///< local
};

/// One step of a network, row by row: what it does to some rows depends on those rows alone (batch norm: and
/// on statistics that are already there). Operations are stateless but for their kernels.
class Operation {
 public:
  virtual ~Operation() = default;
  /// Makes the kernels for units of `rows` rows, unless they are there. Not thread-safe.
  virtual void prepare(KernelFactory&, std::int64_t /*rows*/, bool /*training*/) {}
  virtual void forward(const View& view, const Unit& unit, int thread) const = 0;
  /// Turns the gradient of the output into that of the input.
  virtual void backward(const View& view, const Unit& unit, int thread) const = 0;
};

/// A part of the gradient of a layer's parameters: computed for one shard after the other and folded over the
/// shards on its own.
struct Tile {
  Range inputs;  ///< of a dense layer; empty for others
  Range outputs;
};

/// An operation whose parameters' gradients are sums over rows and need no other rank before they are summed.
class Tiled : public Operation {
 public:
  virtual std::vector<Tile> tiles() const = 0;
  /// Floats of a tile's record.
  virtual std::int64_t tile_floats(const Tile& tile) const = 0;
  /// record = this tile's sum over `rows` (at least one), which are packed where packs() is true. `aside`:
  /// see fold().
  virtual void product(const View& view, Range rows, const Tile& tile, float* record, float* aside) const = 0;
  /// Writes a folded record to its place in a flat gradient vector.
  virtual void store(const Tile& tile, const float* record, float* gradient) const = 0;
  /// Whether it can fold over the shards by itself; then the rows have to be packed first, after backward.
  virtual bool packs() const { return false; }
  virtual std::int64_t packed_floats(std::int64_t /*capacity*/) const { return 0; }
  /// `shard`: the rows of the shard that has the rows.
  virtual void pack(const View&, Range /*rows*/, Range /*shard*/) const {}
  /// The same as product() for each leaf, the tree over the records, and store(). `aside`: place for as many
  /// blocks as the leaves set aside.
  virtual void fold(const View&, std::span<const Leaf> /*leaves*/, const Tile&, float* /*gradient*/,
                    float* /*aside*/) const {}
  /// The sum of the absolute gradients of this operation's outputs over `rows`, for a tile; 0 where another
  /// tile has the same outputs, or where nobody wants to know.
  virtual double absolute_gradients(const View&, Range /*rows*/, const Tile&) const { return 0; }
  /// Units of the output.
  virtual std::int64_t width() const = 0;

  int layer = -1;  ///< index in Network::layers()
};

class Dense final : public Tiled {
 public:
  Dense(Slot in, Slot out, std::int64_t weight, std::int64_t bias, std::int64_t panel, const Tuning& tuning)
      : in_(in), out_(out), weight_(weight), bias_(bias), panel_(panel) {
    if (tuning.own_weight_gradient || tuning.precision == Precision::bf16)
      kernel_.emplace(in.width, out.width, bias >= 0, tuning.precision);
  }
  /// Gets places for its weights in the orders in which products read them beside their own, if any. With
  /// `precision` bf16 it then computes in bf16 wherever a view has weights in bf16.
  void arrange(KernelFactory& factory, Network::Plan& plan, Precision precision);
  /// The parts in which weights are brought into these orders, for every step anew.
  std::int64_t arranged_parts() const;
  void arrange_part(const View& view, std::int64_t part) const;
  void prepare(KernelFactory& factory, std::int64_t rows, bool training) override;
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

  std::vector<Tile> tiles() const override;
  std::int64_t tile_floats(const Tile& tile) const override;
  /// record: [inputs][outputs] products, then [outputs] sums for the bias.
  void product(const View& view, Range rows, const Tile& tile, float* record, float* aside) const override;
  void store(const Tile& tile, const float* record, float* gradient) const override;
  bool packs() const override { return kernel_.has_value(); }
  std::int64_t packed_floats(std::int64_t capacity) const override {
    return kernel_->packed_floats(capacity);
  }
  void pack(const View& view, Range rows, Range shard) const override;
  void fold(const View& view, std::span<const Leaf> leaves, const Tile& tile, float* gradient,
            float* aside) const override;
  double absolute_gradients(const View& view, Range rows, const Tile& tile) const override;
  std::int64_t width() const override { return out_.width; }

 private:
  struct Kernels {
    Kernel forward, backward;
    Kernel bf16_forward, bf16_backward;
  };
  void round(KernelFactory& factory, Network::Plan& plan);
  void round_part(const View& view, std::int64_t part) const;
  void prepare_bf16(KernelFactory& factory, std::int64_t rows);
  WeightPlace weight_place() const { return {in_.width, out_.width, panel_}; }
  TurnedWeights turned() const { return {in_.width, out_.width}; }
  std::vector<Tile> kernel_tiles() const;
  bool has_bias_of(const Tile& tile) const;
  float* weights_of(const Tile& tile, float* flat) const;

  Slot in_, out_;
  std::int64_t weight_, bias_, panel_;  // offsets in the flat vector; bias_ is -1 without
  std::int64_t turned_ = -1;            // offset among View::turned_weights; -1: they are not read so
  std::map<std::int64_t, Kernels> kernels_;
  std::optional<WeightGradient> kernel_;
  std::optional<Bf16Matrix> bf16_forward_, bf16_backward_;
};

class BatchNorm final : public Operation {
 public:
  BatchNorm(Slot in, Slot out, int index, const LayerSpec& spec, std::int64_t scale, std::int64_t shift,
            std::int64_t running_mean, std::int64_t running_variance)
      : in_(in),
        out_(out),
        index_(index),
        spec_(spec),
        scale_(scale),
        shift_(shift),
        running_mean_(running_mean),
        running_variance_(running_variance) {}
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

  std::int64_t width() const { return in_.width; }
  int index() const { return index_; }
  bool per_shard() const { return spec_.shard_statistics; }
  /// mean and m2 (sum of squared deviations) of `rows` for the columns [columns), two passes in double.
  void moments(const View& view, Range rows, Range columns, double* mean, double* m2) const;
  /// Sums of dy and dy * xhat over `rows` for the columns.
  void gradient_sums(const View& view, const Unit& unit, Range columns, double* sum, double* sum_x) const;
  /// Sets a group's statistics from merged moments over `rows` rows.
  void set_group(NormState& state, std::int64_t group, const double* mean, const double* m2,
                 std::int64_t rows) const;
  /// running <- (1 - m) running + m batch, with the unbiased variance; a batch of one row changes nothing.
  void update_running(float* statistics, const double* mean, const double* m2, std::int64_t rows) const;
  /// Takes mean and unbiased variance of `rows` >= 2 rows for the running statistics.
  void set_running(float* statistics, const double* mean, const double* m2, std::int64_t rows) const;
  /// Sets the one group of an inference pass from the running statistics.
  void set_from_running(NormState& state, const float* statistics) const;
  /// Writes sums [width] to the gradients of scale and shift.
  void store(const float* sum, const float* sum_x, float* gradient) const;

  int layer = -1;

 private:
  Slot in_, out_;
  int index_;
  LayerSpec spec_;
  std::int64_t scale_, shift_, running_mean_, running_variance_;
};

/// Layer norm (Ba, Kiros, Hinton, 2016): every row by its own mean and biased variance over the units, in
/// double. The output has a gradient of its own, which the sums for scale and shift are made of.
class LayerNorm final : public Tiled {
 public:
  /// `moments`: a slot two wide for the mean and the inverse deviation of a row.
  LayerNorm(Slot in, Slot moments, Slot out, double epsilon, std::int64_t scale, std::int64_t shift)
      : in_(in), moments_(moments), out_(out), epsilon_(epsilon), scale_(scale), shift_(shift) {}
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

  std::vector<Tile> tiles() const override;
  std::int64_t tile_floats(const Tile& tile) const override { return 2 * tile.outputs.size(); }
  std::int64_t width() const override { return out_.width; }
  /// record: [outputs] sums for the shift, then [outputs] sums for the scale.
  void product(const View& view, Range rows, const Tile& tile, float* record, float* aside) const override;
  void store(const Tile& tile, const float* record, float* gradient) const override;

 private:
  Slot in_, moments_, out_;
  double epsilon_;
  std::int64_t scale_, shift_;  // offsets in the flat vector
};

/// relu and leaky relu, by own loops; in place.
class Relu final : public Operation {
 public:
  /// `flags`: where its units stand among View::active; -1: it is not watched.
  Relu(Slot in, Slot out, float slope, std::int64_t flags)
      : in_(in), out_(out), slope_(slope), flags_(flags) {}
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot in_, out_;
  float slope_;
  std::int64_t flags_;
};

/// elu (Clevert, Unterthiner, Hochreiter, 2015): alpha (exp(x) - 1) below 0.
class Elu final : public Operation {
 public:
  Elu(Slot in, Slot out, double alpha) : in_(in), out_(out), alpha_(static_cast<float>(alpha)) {}
  void prepare(KernelFactory& factory, std::int64_t rows, bool training) override;
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot in_, out_;
  float alpha_;
  std::map<std::int64_t, Kernel> exp_;
};

/// ln(1 + exp(x)), accurate for every x.
class Softplus final : public Operation {
 public:
  Softplus(Slot in, Slot out) : in_(in), out_(out) {}
  void prepare(KernelFactory& factory, std::int64_t rows, bool training) override;
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  struct Kernels {
    Kernel exp, backward;
  };
  Slot in_, out_;
  std::map<std::int64_t, Kernels> kernels_;
};

/// sigmoid, tanh, gelu and silu, by oneDNN.
class Smooth final : public Operation {
 public:
  Smooth(Function function, Slot in, Slot out) : function_(function), in_(in), out_(out) {}
  void prepare(KernelFactory& factory, std::int64_t rows, bool training) override;
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  struct Kernels {
    Kernel forward, backward;
  };
  Function function_;
  Slot in_, out_;
  std::map<std::int64_t, Kernels> kernels_;
};

class Softmax final : public Operation {
 public:
  Softmax(Slot in, Slot out) : in_(in), out_(out) {}
  void prepare(KernelFactory& factory, std::int64_t rows, bool training) override;
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot in_, out_;
  std::map<std::int64_t, Kernel> kernels_;
};

/// Inverted dropout (Srivastava et al., 2014). The mask is a pure function of (seed, step, sample, layer,
/// unit).
class Dropout final : public Operation {
 public:
  Dropout(Slot in, Slot out, int index, double rate);
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot in_, out_;
  int index_;
  std::uint32_t threshold_;  // a unit is kept when its word is at or above
  float factor_;
};

/// Adds normal numbers in training. They are a pure function of (seed, step, sample, layer, unit).
class Noise final : public Operation {
 public:
  Noise(Slot in, Slot out, int index, double deviation)
      : in_(in), out_(out), index_(index), deviation_(static_cast<float>(deviation)) {}
  void forward(const View& view, const Unit& unit, int thread) const override;
  /// The gradient of the input is that of the output, and stands in the same place.
  void backward(const View&, const Unit&, int /*thread*/) const override {}

 private:
  Slot in_, out_;
  int index_;
  float deviation_;
};

/// The fork of a residual: the same values go to the body and to the shortcut. Backward adds the two
/// gradients.
class Fork final : public Operation {
 public:
  Fork(Slot in, Slot body) : in_(in), body_(body) {}
  void forward(const View&, const Unit&, int) const override {}
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot in_, body_;
};

/// The end of a residual: out = body + shortcut.
class Join final : public Operation {
 public:
  Join(Slot body, Slot shortcut, Slot out) : body_(body), shortcut_(shortcut), out_(out) {}
  void forward(const View& view, const Unit& unit, int thread) const override;
  void backward(const View& view, const Unit& unit, int thread) const override;

 private:
  Slot body_, shortcut_, out_;
};

/// The operations in order, and what they need.
struct Network::Plan {
  std::vector<std::unique_ptr<Operation>> operations;
  std::vector<Tiled*> tiled;           ///< by operation index, null for others
  std::vector<BatchNorm*> batch_norm;  ///< by operation index, null for others
  std::vector<std::int64_t> value_widths, gradient_widths, mask_widths;  ///< by buffer index
  std::vector<std::string>
      value_layers;  ///< by buffer index: the path of the layer that fills it; "" the input
  Slot input, output;
  int norms = 0, noises = 0;
  std::vector<Dense*> arranged;     ///< whose weights stand in further orders
  std::int64_t turned_weights = 0;  ///< floats of all that are turned
  std::int64_t bf16_weights = 0;    ///< numbers in bf16 of all their matrices
  std::int64_t bf16_depth = 0;      ///< padded, of the deepest
  /// The relus whose dead units can be counted, and where their units stand among View::active.
  struct Watched {
    std::string path;
    std::int64_t flags = 0, width = 0;
  };
  std::vector<Watched> watched;
  std::int64_t watched_units = 0;  ///< of all of them together
};

}  // namespace trainer::nn
