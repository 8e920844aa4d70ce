#include "target_rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "trainer/core/grammar.h"

namespace trainer::train {

void require_fitting_targets(const nn::Loss& loss, const PreparedData& data, std::int64_t outputs) {
  const nn::LayerKind joint = loss.joint_activation();
  if (data.form != nn::TargetForm::values || joint == nn::LayerKind::dense) return;
  constexpr std::int64_t kRows = 256;
  constexpr double kTolerance = 1e-3;  // of a sum of values that were rounded to 16 bits
  const ListedRows rows(*data.opened.train, data.scalings, data.split.training.list(),
                        {.reconstructs = data.reconstructs(), .outputs = outputs});
  std::vector<float> values(static_cast<std::size_t>(kRows * outputs));
  const auto refuse = [&](std::int64_t row, const std::string& what, const std::string& range) {
    fail(ErrorKind::data, "--loss ", loss.text, ": row ", rows.sample(row), " of ", data.facts().name,
         " has ", what, ", but this loss is for ", range, "; take another --loss, such as mse",
         data.reconstructs() ? ", or --scale unit" : ", or other --scale-targets");
  };
  for (std::int64_t begin = 0; begin < rows.size(); begin += kRows) {
    const Range some{begin, std::min(rows.size(), begin + kRows)};
    rows.values(some, values.data());
    for (std::int64_t row = some.begin; row < some.end; ++row) {
      const float* q = values.data() + (row - some.begin) * outputs;
      const float largest = joint == nn::LayerKind::sigmoid ? 1.0f : std::numeric_limits<float>::max();
      const float* bad = std::find_if(q, q + outputs, [&](float v) { return !(v >= 0 && v <= largest); });
      const std::string range = joint == nn::LayerKind::sigmoid ? "targets from 0 to 1" : "distributions";
      if (bad != q + outputs) refuse(row, "the target " + format_number(static_cast<double>(*bad)), range);
      const double sum = std::accumulate(q, q + outputs, 0.0);
      if (joint == nn::LayerKind::softmax && std::abs(sum - 1) > kTolerance)
        refuse(row, "targets with the sum " + format_number(sum), range);
    }
  }
}

}  // namespace trainer::train
