#include "random_values.h"

#include <cmath>
#include <numeric>

#include "trainer/core/random.h"

namespace trainer::nn {

reference::Batch random_batch(std::int64_t rows, const simulation::JobSetup& setup, std::uint64_t seed) {
  const std::int64_t outputs = setup.outputs;
  const std::string& loss = setup.loss;
  RandomStream stream(RandomKey(seed, Purpose::self_test, 1), 0);
  reference::Batch batch{.rows = rows};
  for (std::int64_t i = 0; i < rows * setup.inputs; ++i)
    batch.inputs.push_back(static_cast<float>(stream.normal()));
  for (std::int64_t r = 0; r < rows; ++r)
    batch.samples.push_back(static_cast<std::int64_t>(stream.below(60'000)));
  const bool distribution =
      loss.find("softmax") != std::string::npos || loss.find("kl_") != std::string::npos;
  const bool probability = loss.find("binary") != std::string::npos;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (setup.form == TargetForm::classes) {
      batch.classes.push_back(static_cast<std::int32_t>(
          stream.below(static_cast<std::uint64_t>(std::max<std::int64_t>(2, outputs)))));
      continue;
    }
    std::vector<double> q;
    for (std::int64_t k = 0; k < outputs; ++k)
      q.push_back(distribution  ? std::exp(stream.normal())
                  : probability ? stream.uniform()
                                : stream.normal());
    if (distribution && outputs > 2) q[static_cast<std::size_t>(r % outputs)] = 0;
    const double total = distribution ? std::accumulate(q.begin(), q.end(), 0.0) : 1;
    for (const double value : q) batch.values.push_back(static_cast<float>(value / total));
  }
  // Some rows do not count at all.
  for (std::int64_t r = 0; r < rows && setup.weighted; ++r)
    batch.weights.push_back(stream.below(4) == 0 ? 0.0f : 3 * stream.uniform_float());
  return batch;
}

Values random_values(const Network& network, std::uint64_t seed) {
  Values values;
  values.parameters.resize(static_cast<std::size_t>(network.parameter_floats()));
  values.statistics.resize(static_cast<std::size_t>(network.statistic_floats()));
  RandomStream stream(RandomKey(seed, Purpose::self_test, 2), 0);
  const auto fill = [&](const Tensor& tensor, float* flat) {
    std::vector<float> drawn;
    for (std::int64_t i = 0; i < tensor.size; ++i) {
      double value = 0;
      switch (tensor.kind) {
        case Tensor::Kind::weight:
          value = 1.2 * stream.normal() / std::sqrt(static_cast<double>(tensor.shape[1]));
          break;
        case Tensor::Kind::bias:
        case Tensor::Kind::shift:
        case Tensor::Kind::running_mean:
          value = 0.3 * stream.normal();
          break;
        case Tensor::Kind::scale:
          value = 1 + 0.3 * stream.normal();
          break;
        case Tensor::Kind::running_variance:
          value = 0.5 + stream.uniform();
          break;
      }
      drawn.push_back(static_cast<float>(value));
    }
    Network::from_checkpoint(tensor, drawn, flat);
  };
  for (const Tensor& tensor : network.parameters()) fill(tensor, values.parameters.data());
  for (const Tensor& tensor : network.statistics()) fill(tensor, values.statistics.data());
  return values;
}

reference::Tensors to_tensors(const std::vector<Tensor>& tensors, const float* flat) {
  reference::Tensors result;
  for (const Tensor& tensor : tensors) {
    const std::vector<float> values = Network::to_checkpoint(tensor, flat);
    result[tensor.path].assign(values.begin(), values.end());
  }
  return result;
}

}  // namespace trainer::nn
