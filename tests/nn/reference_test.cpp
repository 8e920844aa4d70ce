// The reference itself: its gradients against central differences of its loss, and its tolerance against what
// it is for.
#include "reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "random_values.h"
#include "simulated_job.h"
#include "trainer/core/random.h"

namespace trainer::nn::reference {
namespace {

using simulation::JobSetup;

/// A net with its values and a batch, ready to be evaluated.
struct Example {
  explicit Example(const JobSetup& setup)
      : network(simulation::joined_model(setup), Loss::parse(setup.loss)),
        step{.shards = setup.shards, .seed = 4, .step = 7} {
    const Network layout(network.model(), 1);
    const Values values = random_values(layout, 8);
    parameters = to_tensors(layout.parameters(), values.parameters.data());
    statistics = to_tensors(layout.statistics(), values.statistics.data());
    batch = random_batch(setup.batches[0], setup, 21);
  }
  Outcome run() const { return network.run(parameters, statistics, batch, step); }

  ReferenceNetwork network;
  Step step;
  Tensors parameters, statistics;
  Batch batch;
};

class Gradients : public testing::TestWithParam<JobSetup> {};

TEST_P(Gradients, AreCentralDifferences) {
  Example example(GetParam());
  const Outcome exact = example.run();
  RandomStream stream(RandomKey(2, Purpose::self_test), 0);
  for (const auto& [path, gradient] : exact.gradients) {
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    // Truncation falls with h^2, rounding of the two losses grows with 1 / h.
    constexpr double kStep = 2e-5;
    const double tolerance = 2e-7 * largest + 16 * 0x1p-52 * std::abs(exact.loss) / kStep;
    for (int i = 0; i < 15; ++i) {
      const auto element = static_cast<std::size_t>(stream.below(gradient.size()));
      double& parameter = example.parameters.at(path)[element];
      const double value = parameter;
      parameter = value + kStep;
      const double above = example.run().loss;
      parameter = value - kStep;
      const double below = example.run().loss;
      parameter = value;
      EXPECT_NEAR(gradient[element], (above - below) / (2 * kStep), tolerance)
          << GetParam().model << ", " << GetParam().loss << ": " << path << " " << element;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, Gradients,
    testing::Values(
        JobSetup{
            .model =
                "dense(6) relu dense(5) sigmoid dense(4, bias=false) tanh dense(3) softmax dense(outputs)",
            .inputs = 5,
            .outputs = 4,
            .batches = {23}},
        JobSetup{.model = "batch_norm dense(6) batch_norm relu dense(outputs) batch_norm",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{
            .model = "batch_norm(statistics=shard) dense(6) batch_norm(statistics=shard) tanh dense(outputs)",
            .inputs = 5,
            .outputs = 4,
            .shards = 3,
            .batches = {29}},
        JobSetup{.model = "dropout(0.2) dense(12) dropout(0.5) tanh dropout(0.1) dense(outputs)",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "residual(dense(9) tanh dense(6)) residual(relu residual(tanh dense(6)) dense(6)) "
                          "dense(outputs)",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "softmax_cross_entropy(label_smoothing=0.1)",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23}},
        JobSetup{.model = "layer_norm dense(6) layer_norm tanh dense(5) layer_norm(0.1) dense(outputs)",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "dense(6) gelu dense(6) silu dense(6) softplus dense(outputs)",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "noise(0.2) dense(6) leaky_relu(0.2) dense(6) elu(0.7) noise(0.4) dense(outputs)",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "kl_divergence",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23},
                 .weighted = true},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "mae",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23},
                 .weighted = true},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "huber(0.5, outputs=sum)",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "binary_cross_entropy",
                 .inputs = 5,
                 .outputs = 4,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "binary_cross_entropy(outputs=sum)",
                 .inputs = 5,
                 .outputs = 1,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "mse",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "mse(outputs=sum)",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23}},
        JobSetup{.model = "dense(6) tanh dense(outputs)",
                 .loss = "half_squared_error",
                 .inputs = 5,
                 .outputs = 4,
                 .form = TargetForm::values,
                 .batches = {23}}));

TEST(Tolerance, IsOfTheSizeOfSinglePrecision) {
  const Example example(JobSetup{.model = "dense(30) batch_norm relu dense(20) tanh dense(outputs)",
                                 .inputs = 20,
                                 .outputs = 10,
                                 .batches = {64}});
  const Outcome exact = example.run();
  const Tolerance tolerance = tolerance_of(example.network, example.parameters, example.statistics,
                                           example.batch, example.step, exact);
  EXPECT_GT(tolerance.loss, 0);
  EXPECT_LT(tolerance.loss, 1e-5 * exact.loss);
  EXPECT_LT(tolerance.outputs, 1e-4);
  for (const auto& [path, bound] : tolerance.gradients) {
    if (path == "00_dense/bias") continue;  // batch norm makes this gradient 0
    double largest = 0;
    for (const double g : exact.gradients.at(path)) largest = std::max(largest, std::abs(g));
    EXPECT_GT(bound, 0) << path;
    EXPECT_LT(bound, 1e-4 * largest) << path;
  }
}

}  // namespace
}  // namespace trainer::nn::reference
