#pragma once

// The computation of a loss over a run of rows. Private to this room.

#include <map>

#include "onednn.h"
#include "trainer/core/buffer.h"
#include "trainer/nn/loss.h"

namespace trainer::nn {

/// Loss, number of right predictions and gradient of the logits, for the rows of one unit.
class LossFunction {
 public:
  LossFunction(const Loss& loss, std::int64_t outputs, int threads, std::int64_t max_rows);
  /// Makes the kernels for units of `rows` rows (at most max_rows). Not thread-safe.
  void prepare(KernelFactory& factory, std::int64_t rows);
  /// z: [rows, outputs], what the network computed; gradient: [rows, outputs], the derivative of the sum over
  /// rows of the loss by z (not divided by any number of rows), also used as scratch: never null, never z.
  LossSums operator()(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                      int thread) const;
  /// The activated output of z: softmax, sigmoid, or z itself. Arguments as above.
  void activate(const float* z, std::int64_t rows, float* out, int thread) const;

 private:
  struct Kernels {
    Kernel exp, sigmoid;
  };
  /// And kl_divergence, which differs by the entropy of the targets.
  LossSums softmax_cross_entropy(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                                 int thread) const;
  LossSums binary_cross_entropy(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                                int thread) const;
  /// `term(d, loss, slope)`, d = output - target: adds to the loss, sets the slope; both before `share`.
  template <class Term>
  LossSums difference(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                      double share, const Term& term) const;
  /// How much the outputs of a row count.
  double share() const;
  /// A row's loss, times its weight; its gradient likewise.
  double weighted(double loss, const Targets& targets, std::int64_t row, float* gradient) const;
  double correct(const float* z, std::int64_t row, const Targets& targets) const;
  float target(const Targets& targets, std::int64_t row, std::int64_t k) const;

  Loss loss_;
  std::int64_t outputs_;
  std::map<std::int64_t, Kernels> kernels_;
  mutable std::vector<Buffer<float>> scratch_;  ///< by thread: [max_rows, outputs]; binary cross entropy only
};

}  // namespace trainer::nn
