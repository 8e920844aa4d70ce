#pragma once

// A whole network in plain loops and double precision, written from DESIGN and the papers alone: what the
// fast code is compared with. Nothing here is shared with src/nn but the parsed model and loss.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/nn/loss.h"
#include "trainer/nn/model.h"

namespace trainer::nn::reference {

/// Tensors by path, in checkpoint layout.
using Tensors = std::map<std::string, std::vector<double>>;

/// The rows of a mini-batch or of a data set.
struct Batch {
  std::int64_t rows = 0;
  std::vector<float> inputs = {};          ///< [rows, inputs]
  std::vector<std::int32_t> classes = {};  ///< [rows], or empty
  std::vector<float> values = {};          ///< [rows, outputs], or empty
  std::vector<std::int64_t> samples = {};  ///< [rows]
  std::vector<float> weights = {};         ///< [rows], or empty: 1
};

/// How a batch is computed.
struct Step {
  bool training = true;
  std::int64_t shards = 1;
  std::uint64_t seed = 1;
  std::uint64_t step = 0;
};

/// What comes out; sums over rows, nothing is divided by their number.
struct Outcome {
  double loss = 0;
  double correct = 0;
  std::vector<double> outputs;  ///< activated, [rows, outputs]
  Tensors gradients;            ///< of every parameter; training only
  Tensors statistics;           ///< running statistics afterwards
  Tensors deltas;               ///< of every dense layer: gradients of its outputs, [rows, outputs]
  Tensors relus;                ///< outputs of every relu, [rows, units]
};

/// Errors of the size that single precision makes, put on every intermediate result: what they change in the
/// outcome is what a computation in single precision may be away from the reference (stochastic arithmetic;
/// Vignes, 1993).
class Disturbance {
 public:
  explicit Disturbance(std::uint64_t seed) : state_(seed) {}
  /// A value that was added up from `terms` terms whose absolute values sum to `magnitude`.
  double operator()(double value, double magnitude, std::int64_t terms = 1);

 private:
  std::uint64_t state_;
};

class ReferenceNetwork {
 public:
  /// `model`: after join().
  ReferenceNetwork(const Model& model, const Loss& loss) : model_(model), loss_(loss) {}
  Outcome run(const Tensors& parameters, const Tensors& statistics, const Batch& batch, const Step& step,
              Disturbance* disturbance = nullptr) const;
  const Model& model() const { return model_; }
  const Loss& loss() const { return loss_; }

 private:
  Model model_;
  Loss loss_;
};

/// How far single precision may be from `exact`: one bound for each tensor, and for loss and outputs.
struct Tolerance {
  double loss = 0;
  double outputs = 0;
  std::map<std::string, double> gradients;
  std::map<std::string, double> statistics;
};
Tolerance tolerance_of(const ReferenceNetwork& network, const Tensors& parameters, const Tensors& statistics,
                       const Batch& batch, const Step& step, const Outcome& exact);

}  // namespace trainer::nn::reference
