#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "against_reference.h"
#include "batch_source.h"
#include "random_values.h"
#include "trainer/core/error.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;

/// A whole data set in canonical chunks.
struct Evaluation {
  std::vector<LossSums> chunks;
  std::vector<float> outputs;
  bool operator==(const Evaluation& other) const {
    return std::memcmp(chunks.data(), other.chunks.data(), chunks.size() * sizeof(LossSums)) == 0 &&
           std::memcmp(outputs.data(), other.outputs.data(), outputs.size() * sizeof(float)) == 0;
  }
};

Range chunk(std::int64_t index, std::int64_t rows) {
  return {index * InferencePass::kChunk, std::min(rows, (index + 1) * InferencePass::kChunk)};
}

Evaluation evaluate(const InferencePass& pass, const reference::Batch& data, std::int64_t outputs,
                    const Team& team) {
  const std::int64_t chunks = (data.rows + InferencePass::kChunk - 1) / InferencePass::kChunk;
  Evaluation result{std::vector<LossSums>(static_cast<std::size_t>(chunks)),
                    std::vector<float>(static_cast<std::size_t>(data.rows * outputs))};
  const BatchSource source(data, {0, data.rows});
  team.run(chunks, [&](std::int64_t i, int thread) {
    const Range rows = chunk(i, data.rows);
    result.chunks[static_cast<std::size_t>(i)] =
        pass.run(source, rows, thread, result.outputs.data() + rows.begin * outputs);
  });
  return result;
}

std::vector<std::int64_t> chunk_sizes(std::int64_t rows) {
  std::vector<std::int64_t> sizes;
  if (rows >= InferencePass::kChunk) sizes.push_back(InferencePass::kChunk);
  if (rows % InferencePass::kChunk != 0) sizes.push_back(rows % InferencePass::kChunk);
  return sizes;
}

class Inference : public testing::TestWithParam<JobSetup> {};

TEST_P(Inference, AgreesWithTheReference) {
  const JobSetup& setup = GetParam();
  const Loss loss = Loss::parse(setup.loss);
  const Network network(simulation::joined_model(setup), 1);
  const reference::ReferenceNetwork exact_network(network.model(), loss);
  for (const std::int64_t rows : setup.batches) {
    const Values values = random_values(network, 6);
    const auto data = random_batch(rows, setup, 7);
    InferencePass pass(network, loss, setup.form, 1, chunk_sizes(rows));
    pass.set(values.parameters.data(), values.statistics.data());
    const Evaluation result = evaluate(pass, data, setup.outputs, Team(1));

    const auto parameters = to_tensors(network.parameters(), values.parameters.data());
    const auto statistics = to_tensors(network.statistics(), values.statistics.data());
    const reference::Step step{.training = false};
    const auto exact = exact_network.run(parameters, statistics, data, step);
    const auto tolerance = reference::tolerance_of(exact_network, parameters, statistics, data, step, exact);
    LossSums sums;
    for (const LossSums& part : result.chunks) {
      sums.loss += part.loss;
      sums.correct += part.correct;
    }
    EXPECT_TRUE(are_near({sums.loss}, {exact.loss}, tolerance.loss))
        << setup.model << ", " << rows << " rows";
    EXPECT_EQ(sums.correct, exact.correct);
    EXPECT_TRUE(are_near({result.outputs.begin(), result.outputs.end()}, exact.outputs, tolerance.outputs))
        << setup.model;
  }
}

TEST_P(Inference, HasTheSameBitsOnEveryThread) {
  const JobSetup& setup = GetParam();
  const Loss loss = Loss::parse(setup.loss);
  const auto data = random_batch(900, setup, 7);
  std::vector<Evaluation> results;
  for (const int threads : {1, 2, 3}) {
    const Network network(simulation::joined_model(setup), threads);
    const Values values = random_values(network, 6);
    InferencePass pass(network, loss, setup.form, threads, chunk_sizes(data.rows));
    pass.set(values.parameters.data(), values.statistics.data());
    results.push_back(evaluate(pass, data, setup.outputs, Team(threads)));
    EXPECT_TRUE(results.back() == results.front()) << setup.model << " with " << threads << " threads";

    // One chunk alone, by the last thread, without outputs, as another rank sees it: rows counted from its
    // own first one.
    const Range rows = chunk(1, data.rows);
    const LossSums alone = pass.run(BatchSource(data, rows), {0, rows.size()}, threads - 1);
    EXPECT_EQ(std::memcmp(&alone, &results.front().chunks[1], sizeof alone), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, Inference,
    testing::Values(
        JobSetup{
            .model =
                "dense(128) batch_norm relu dropout(0.5) dense(64) batch_norm tanh dense(outputs) softmax",
            .inputs = 32,
            .outputs = 10,
            .batches = {1, 255, 256, 257, 300}},
        JobSetup{.model = "batch_norm dropout(0.4) dense(9) relu sigmoid residual(relu dropout(0.1) "
                          "dense(9)) dense(outputs)",
                 .loss = "binary_cross_entropy",
                 .inputs = 7,
                 .outputs = 1,
                 .batches = {300}},
        JobSetup{.model = "dropout(0.4) residual(residual(dropout(0.3)) softmax) dense(outputs) sigmoid",
                 .loss = "mse",
                 .inputs = 7,
                 .outputs = 3,
                 .form = TargetForm::values,
                 .batches = {300}},
        JobSetup{
            .model = "noise(0.3) dense(140) layer_norm gelu noise(1) residual(dense(9) elu dense(140) silu) "
                     "layer_norm dense(8) softplus dense(8) leaky_relu noise(2) dense(outputs)",
            .loss = "kl_divergence",
            .inputs = 7,
            .outputs = 3,
            .form = TargetForm::values,
            .batches = {1, 300},
            .weighted = true},
        JobSetup{.model = "dense(8) relu noise(0.1) dense(outputs)",
                 .loss = "huber",
                 .inputs = 7,
                 .outputs = 3,
                 .batches = {300},
                 .weighted = true},
        JobSetup{
            .model = "residual(dense(8) tanh, projection=always) batch_norm(statistics=shard) dense(outputs)",
            .loss = "softmax_cross_entropy",
            .inputs = 7,
            .outputs = 3,
            .form = TargetForm::values,
            .batches = {300}}));

TEST(InferencePass, TakesNewValuesAndSharesANetworkWithTraining) {
  const JobSetup setup{.model = "dense(8) batch_norm relu dense(outputs)",
                       .inputs = 4,
                       .outputs = 3,
                       .shards = 2,
                       .batches = {20}};
  const Loss loss = Loss::parse(setup.loss);
  const Network network(simulation::joined_model(setup), 1);
  const auto data = random_batch(20, setup, 7);
  const std::int64_t sizes[] = {20};
  InferencePass pass(network, loss, setup.form, 1, sizes);
  const Values first = random_values(network, 1);
  Values second = random_values(network, 2);
  pass.set(first.parameters.data(), first.statistics.data());
  const Evaluation before = evaluate(pass, data, setup.outputs, Team(1));

  simulation::ThreadFold fold(2, {{Range{0, 2}}});
  fold.set_batch(20);
  const Team team(1);
  TrainingPass training(network, loss, setup.form, team, {2, {0, 2}, {{0, 2}}}, setup.batches, fold.of(0));
  training.forward(BatchSource(data, {0, 20}), 20, 1, 1, second.parameters.data(), second.statistics.data());
  EXPECT_TRUE(evaluate(pass, data, setup.outputs, Team(1)) == before);

  pass.set(second.parameters.data(), second.statistics.data());
  EXPECT_FALSE(evaluate(pass, data, setup.outputs, Team(1)) == before);
}

TEST(InferencePass, GivesRawOutputsBeforeTheJointActivation) {
  for (const auto& [loss_text, activated] :
       {std::pair("binary_cross_entropy", true), std::pair("mse", false)}) {
    const JobSetup setup{
        .model = "dense(outputs)", .loss = loss_text, .inputs = 4, .outputs = 3, .batches = {20}};
    const Network network(simulation::joined_model(setup), 1);
    const Values values = random_values(network, 1);
    const auto data = random_batch(20, setup, 7);
    const std::int64_t sizes[] = {20};
    InferencePass pass(network, Loss::parse(setup.loss), setup.form, 1, sizes);
    pass.set(values.parameters.data(), values.statistics.data());
    std::vector<float> outputs(60), raw(60);
    pass.run(BatchSource(data, {0, 20}), {0, 20}, 0, outputs.data(), raw.data());
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const auto z = static_cast<double>(raw[i]);
      EXPECT_NEAR(static_cast<double>(outputs[i]), activated ? 1 / (1 + std::exp(-z)) : z, 1e-6);
    }
    EXPECT_EQ(pass.threshold(), activated ? 0.0f : 0.5f);
  }
}

/// A source that has inputs alone.
class WithoutTargets final : public RowSource {
 public:
  WithoutTargets(const RowSource& source, std::int64_t first) : source_(source), first_(first) {}
  void inputs(Range rows, float* out) const override { source_.inputs(rows, out); }
  void classes(Range, std::int32_t*) const override { ADD_FAILURE() << "targets are asked for"; }
  void values(Range, float*) const override { ADD_FAILURE() << "targets are asked for"; }
  std::int64_t sample(std::int64_t row) const override { return first_ + row; }

 private:
  const RowSource& source_;
  std::int64_t first_;
};

TEST(InferencePass, SamplesDrawBySeedNumberAndRow) {
  const JobSetup setup{
      .model = "dense(40) relu dropout(0.5) noise(0.1) residual(dropout(0.2)) dense(outputs)",
      .inputs = 4,
      .outputs = 3,
      .batches = {20}};
  const Network network(simulation::joined_model(setup), 2);
  const Values values = random_values(network, 1);
  const auto data = random_batch(20, setup, 7);
  const std::int64_t sizes[] = {20, 8};
  InferencePass pass(network, Loss::parse(setup.loss), setup.form, 2, sizes);
  pass.set(values.parameters.data(), values.statistics.data());
  const BatchSource all(data, {0, 20});
  const auto predicted = [&](Range rows, int thread, const InferencePass::Sampling* sampling) {
    std::vector<float> outputs(static_cast<std::size_t>(3 * rows.size()));
    pass.predict(WithoutTargets(all, 100), rows, thread, outputs.data(), nullptr, sampling);
    return outputs;
  };
  std::vector<float> plain(60);
  pass.run(all, {0, 20}, 0, plain.data());
  EXPECT_EQ(predicted({0, 20}, 0, nullptr), plain);

  const InferencePass::Sampling first{5, 0}, second{5, 1}, other_seed{6, 0};
  const std::vector<float> one = predicted({0, 20}, 0, &first);
  EXPECT_EQ(predicted({0, 20}, 1, &first), one);
  EXPECT_NE(one, plain);
  EXPECT_NE(predicted({0, 20}, 0, &second), one);
  EXPECT_NE(predicted({0, 20}, 0, &other_seed), one);
  EXPECT_EQ(predicted({0, 20}, 0, nullptr), plain);
  // Rows draw by their index in the data set, whoever asks for which of them.
  std::vector<float> part(24);
  pass.predict(WithoutTargets(BatchSource(data, {12, 20}), 112), {0, 8}, 0, part.data(), nullptr, &first);
  for (std::size_t i = 0; i < part.size(); ++i) EXPECT_NEAR(part[i], one[36 + i], 1e-5f) << i;
  pass.predict(WithoutTargets(BatchSource(data, {12, 20}), 113), {0, 8}, 0, part.data(), nullptr, &first);
  EXPECT_GT(std::abs(part[0] - one[36]) + std::abs(part[1] - one[37]), 1e-3f);
}

TEST(InferencePass, RefusesImpossibleChunks) {
  const Network network(Model("dense(outputs)", 2, 2), 1);
  for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{-1}, InferencePass::kChunk + 1})
    EXPECT_THROW(InferencePass(network, Loss::parse("mse"), TargetForm::values, 1, std::span(&rows, 1)),
                 Error)
        << rows;
}

}  // namespace
}  // namespace trainer::nn
