#include "gradient_log.h"

#include <algorithm>
#include <bit>
#include <map>

namespace trainer::train {

const std::vector<std::string> kGradientColumns = {
    "step", "layer", "gradient_norm", "mean_delta", "weight_norm", "update_ratio", "dead_share"};

bool is_gradient_step(std::int64_t step, std::int64_t evaluate_every) {
  return std::has_single_bit(static_cast<std::uint64_t>(step)) || step % evaluate_every == 0;
}

std::vector<std::vector<report::CsvCell>> gradient_rows(const nn::Network& network, std::int64_t step,
                                                        const StepObservation& seen) {
  std::map<std::string, double> deltas;
  for (const auto& dense : seen.pass.dense) deltas[dense.path] = dense.mean_delta;
  std::vector<std::vector<report::CsvCell>> rows;
  for (auto layer = network.layers().rbegin(); layer != network.layers().rend(); ++layer) {
    const TensorNorms& norms = seen.tensors[static_cast<std::size_t>(layer->tensors.front())];
    const auto delta = deltas.find(layer->path);
    rows.push_back({step, layer->path, norms.gradient,
                    delta == deltas.end() ? report::CsvCell() : report::CsvCell(delta->second), norms.value,
                    norms.update / norms.value, report::CsvCell()});
  }
  for (const auto& relu : seen.pass.relus)
    rows.push_back(
        {step, relu.path, {}, {}, {}, {}, static_cast<double>(relu.dead) / static_cast<double>(relu.units)});
  return rows;
}

}  // namespace trainer::train
