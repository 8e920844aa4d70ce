#pragma once

#include <map>
#include <string>
#include <vector>

#include "simulated_job.h"

namespace trainer::nn {

/// A network on one rank with its parameters by path, for examples that are checked by hand.
class OneStep {
 public:
  OneStep(const std::string& model, const std::string& loss, std::int64_t inputs, std::int64_t outputs,
          TargetForm form, std::int64_t rows = 1);
  /// Sets a tensor, in checkpoint layout.
  void set(const std::string& path, const std::vector<float>& values);
  std::vector<float> get(const std::string& path) const;
  /// Forward and backward; gradients by path are sums over the rows.
  LossSums run(const reference::Batch& batch);
  const std::vector<double>& gradient(const std::string& path) const { return gradients_.at(path); }
  /// parameters -= rate * gradients.
  void descend(float rate);
  /// What the network puts out.
  std::vector<float> outputs(const reference::Batch& batch) const;

 private:
  const Tensor& tensor(const std::string& path) const;

  simulation::SimulatedJob job_;
  std::vector<float> parameters_, statistics_, flat_gradient_;
  reference::Tensors gradients_;
};

/// One row with values as targets, or a class.
reference::Batch one_row(std::vector<float> inputs, std::vector<float> values);
reference::Batch one_row(std::vector<float> inputs, std::int32_t label);

}  // namespace trainer::nn
