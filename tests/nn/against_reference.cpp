#include "against_reference.h"

#include <algorithm>
#include <cmath>

#include "random_values.h"
#include "reference.h"
#include "trainer/core/error.h"

namespace trainer::nn {
namespace {

/// Gaps between tensors must stay zero: norms and updates run over them.
bool gaps_are_zero(const Network& network, const std::vector<float>& flat) {
  std::vector<bool> used(flat.size());
  for (const Tensor& tensor : network.parameters())
    for (std::int64_t i = 0; i < tensor.size; ++i) used[static_cast<std::size_t>(tensor.offset + i)] = true;
  for (std::size_t i = 0; i < flat.size(); ++i)
    if (!used[i] && flat[i] != 0.0f) return false;
  return true;
}

}  // namespace

testing::AssertionResult are_near(const std::vector<double>& values, const std::vector<double>& exact,
                                  double tolerance) {
  if (values.size() != exact.size())
    return testing::AssertionFailure() << values.size() << " values instead of " << exact.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - exact[i]) <= tolerance))
      return testing::AssertionFailure() << "value " << i << " of " << values.size() << " is " << values[i]
                                         << " instead of " << exact[i] << ", tolerance " << tolerance;
  return testing::AssertionSuccess();
}

void expect_the_reference(const simulation::JobSetup& setup, std::uint64_t seed) {
  SCOPED_TRACE(text("model ", setup.model, ", inputs ", setup.inputs, ", outputs ", setup.outputs, ", loss ",
                    setup.loss, ", shards ", setup.shards, ", ranks ", setup.ranks, ", threads ",
                    setup.threads));
  simulation::SimulatedJob job(setup);
  const reference::ReferenceNetwork network(simulation::joined_model(setup), Loss::parse(setup.loss));
  Values values = random_values(job.network(), seed);
  for (std::size_t i = 0; i < setup.batches.size(); ++i) {
    SCOPED_TRACE(text("step ", i, ", batch of ", setup.batches[i]));
    const reference::Batch batch = random_batch(setup.batches[i], setup, seed + i);
    const reference::Step step{.shards = setup.shards, .seed = seed, .step = i};
    const auto parameters = to_tensors(job.network().parameters(), values.parameters.data());
    const auto statistics = to_tensors(job.network().statistics(), values.statistics.data());
    const auto result = job.step(batch, seed, i, values.parameters, values.statistics);
    const auto exact = network.run(parameters, statistics, batch, step);
    const auto tolerance = reference::tolerance_of(network, parameters, statistics, batch, step, exact);

    EXPECT_TRUE(are_near({result.sums.loss}, {exact.loss}, tolerance.loss)) << "loss";
    EXPECT_EQ(result.sums.correct, exact.correct);
    EXPECT_TRUE(gaps_are_zero(job.network(), result.gradient));
    const auto gradients = to_tensors(job.network().parameters(), result.gradient.data());
    ASSERT_EQ(gradients.size(), exact.gradients.size());
    for (const auto& [path, gradient] : gradients)
      EXPECT_TRUE(are_near(gradient, exact.gradients.at(path), tolerance.gradients.at(path)))
          << "gradient of " << path;
    for (const auto& [path, value] : to_tensors(job.network().statistics(), result.statistics.data()))
      EXPECT_TRUE(are_near(value, exact.statistics.at(path), tolerance.statistics.at(path))) << path;

    // A step that changes something in every net and makes none diverge.
    float largest = 1;
    for (const float g : result.gradient) largest = std::max(largest, std::abs(g));
    for (std::size_t w = 0; w < values.parameters.size(); ++w)
      values.parameters[w] -= 0.05f / largest * result.gradient[w];
    values.statistics = result.statistics;
  }
}

}  // namespace trainer::nn
