#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/core/grammar.h"

namespace trainer::nn {

enum class LayerKind {
  dense,
  batch_norm,
  layer_norm,
  relu,
  leaky_relu,
  elu,
  gelu,
  silu,
  softplus,
  sigmoid,
  tanh,
  softmax,
  dropout,
  noise,
  residual
};

/// How a weight matrix is drawn. he: normal with variance 2 / inputs (He et al., 2015); glorot: uniform on
/// +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010).
struct Initialiser {
  enum class Kind { he, glorot, normal, uniform, zeros, constant } kind = Kind::glorot;
  double value = 0;  ///< normal: deviation; uniform: bound; constant: the value
};

/// One layer of the model text, checked and with its widths resolved.
struct LayerSpec {
  LayerKind kind{};
  std::string name;               ///< as in the grammar: "dense"
  std::string path;               ///< place in the checkpoint: "04_residual/00_dense"
  std::size_t offset = 0;         ///< of its word in the model text, for carets
  std::int64_t inputs = 0;        ///< width of what comes in
  std::int64_t outputs = 0;       ///< width of what goes out
  bool bias = true;               ///< dense
  Initialiser initialiser;        ///< dense; for residual: of its projection
  double momentum = 0.1;          ///< batch_norm: weight of the newest batch in the running statistics
  double epsilon = 1e-5;          ///< batch_norm, layer_norm
  bool shard_statistics = false;  ///< batch_norm: normalise each shard by its own statistics
  double rate = 0;                ///< dropout: share of the units set to zero
  double deviation = 0;           ///< noise: standard deviation of what is added
  double slope = 0;               ///< leaky_relu: of the negative side
  double alpha = 1;               ///< elu: -alpha is where the negative side ends
  bool projection = false;        ///< residual: the shortcut is a dense layer without bias
  std::vector<LayerSpec> body;    ///< residual
};

/// A model text, parsed and resolved against the data: `repeat` written out, widths and initialisers known.
class Model {
 public:
  /// `source`: the text, such as "dense(512) batch_norm relu dense(outputs)", or the short form "512-512".
  /// `inputs`: columns of the data; `outputs`: width that the task needs of the last layer; with `allow_one`,
  /// one output is as good (two classes as one probability). Throws Error(usage) with a caret: unknown layer,
  /// bad argument, widths that do not fit, more than 10,000 layers.
  Model(const std::string& source, std::int64_t inputs, std::int64_t outputs, bool allow_one = false);

  const ParsedText& parsed() const { return parsed_; }
  const std::string& text() const { return parsed_.source(); }
  const std::vector<LayerSpec>& layers() const { return layers_; }
  std::int64_t inputs() const { return inputs_; }
  std::int64_t outputs() const { return outputs_; }

  /// Takes the last layer away: a loss that computes its activation together with itself calls this.
  void drop_last() { layers_.pop_back(); }

 private:
  ParsedText parsed_;
  std::int64_t inputs_;
  std::int64_t outputs_;
  std::vector<LayerSpec> layers_;
};

/// True for relu, leaky_relu, elu, gelu, silu, softplus, sigmoid, tanh, softmax.
bool is_activation(LayerKind kind);
/// The relu family, before which init=auto draws as He et al.: relu, leaky_relu, elu, gelu, silu, softplus.
bool is_rectifier(LayerKind kind);

}  // namespace trainer::nn
