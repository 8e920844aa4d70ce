#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "against_reference.h"
#include "batch_source.h"
#include "random_values.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;

/// What one network gives has, as outputs, the loss that the pass has computed from its logits.
TEST(LossOfOutputs, IsThatOfThePass) {
  const std::vector<JobSetup> setups = {
      {.model = "dense(outputs)",
       .loss = "softmax_cross_entropy",
       .inputs = 5,
       .outputs = 4,
       .batches = {40}},
      {.model = "dense(outputs)",
       .loss = "softmax_cross_entropy(label_smoothing=0.1)",
       .inputs = 5,
       .outputs = 4,
       .batches = {40},
       .weighted = true},
      {.model = "dense(outputs)",
       .loss = "softmax_cross_entropy",
       .inputs = 5,
       .outputs = 4,
       .form = TargetForm::values,
       .batches = {40}},
      {.model = "dense(outputs)",
       .loss = "kl_divergence",
       .inputs = 5,
       .outputs = 4,
       .form = TargetForm::values,
       .batches = {40},
       .weighted = true},
      {.model = "dense(outputs)", .loss = "binary_cross_entropy", .inputs = 5, .outputs = 1, .batches = {40}},
      {.model = "dense(outputs)",
       .loss = "binary_cross_entropy(outputs=sum)",
       .inputs = 5,
       .outputs = 3,
       .batches = {40}},
      {.model = "dense(outputs)",
       .loss = "mse",
       .inputs = 5,
       .outputs = 3,
       .form = TargetForm::values,
       .batches = {40}},
      {.model = "dense(outputs)", .loss = "mse", .inputs = 5, .outputs = 1, .batches = {40}},
      {.model = "dense(outputs)", .loss = "half_squared_error", .inputs = 5, .outputs = 3, .batches = {40}},
      {.model = "dense(outputs)",
       .loss = "mae(outputs=sum)",
       .inputs = 5,
       .outputs = 3,
       .form = TargetForm::values,
       .batches = {40},
       .weighted = true},
      {.model = "dense(outputs)",
       .loss = "huber(delta=0.5)",
       .inputs = 5,
       .outputs = 3,
       .form = TargetForm::values,
       .batches = {40}}};
  for (const JobSetup& setup : setups) {
    const Loss loss = Loss::parse(setup.loss);
    const Network network(simulation::joined_model(setup), 1);
    const Values values = random_values(network, 1);
    const auto data = random_batch(40, setup, 7);
    const std::int64_t sizes[] = {40};
    InferencePass pass(network, loss, setup.form, 1, sizes);
    pass.set(values.parameters.data(), values.statistics.data());
    const BatchSource source(data, {0, 40});
    std::vector<float> outputs(static_cast<std::size_t>(40 * setup.outputs));
    const LossSums expected = pass.run(source, {0, 40}, 0, outputs.data());

    std::vector<std::int32_t> classes(40);
    std::vector<float> targets(outputs.size()), weights(40);
    Targets wanted;
    if (setup.form == TargetForm::classes) {
      source.classes({0, 40}, classes.data());
      wanted.classes = classes.data();
    } else {
      source.values({0, 40}, targets.data());
      wanted.values = targets.data();
    }
    if (source.weighted()) {
      source.weights({0, 40}, weights.data());
      wanted.weights = weights.data();
    }
    const LossSums found = loss_of_outputs(loss, outputs.data(), 40, setup.outputs, wanted);
    // An output is off by some units of its last place, a loss of it by the same relative to the probability.
    EXPECT_NEAR(found.loss, expected.loss, 1e-5 * (1 + std::abs(expected.loss))) << setup.loss;
    EXPECT_EQ(found.correct, expected.correct) << setup.loss;
  }
}

TEST(LossOfOutputs, StaysFiniteForImpossibleProbabilitiesAndTellsNan) {
  const std::int32_t label = 0;
  const Targets targets{.classes = &label};
  const float impossible[] = {0, 1};
  const double most = -std::log(static_cast<double>(std::numeric_limits<float>::min()));
  EXPECT_NEAR(loss_of_outputs(Loss::parse("softmax_cross_entropy"), impossible, 1, 2, targets).loss, most,
              1e-9);
  const float sure = 1;
  EXPECT_NEAR(loss_of_outputs(Loss::parse("binary_cross_entropy"), &sure, 1, 1, targets).loss, most, 1e-9);
  const float unknown[] = {std::numeric_limits<float>::quiet_NaN(), 1};
  const LossSums sums = loss_of_outputs(Loss::parse("softmax_cross_entropy"), unknown, 1, 2, targets);
  EXPECT_TRUE(std::isnan(sums.loss));
  EXPECT_EQ(sums.correct, 0);
}

}  // namespace
}  // namespace trainer::nn
