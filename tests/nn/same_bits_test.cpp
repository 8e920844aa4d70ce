// Promise 1 for this room: the same bits for any number of ranks and threads.
#include <gtest/gtest.h>

#include "random_values.h"
#include "simulated_job.h"
#include "trainer/core/error.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;
using simulation::SimulatedJob;

/// Some steps of plain gradient descent, the last batches smaller than the first.
std::vector<SimulatedJob::Result> train(const JobSetup& setup) {
  SimulatedJob job(setup);
  Values values = random_values(job.network(), 5);
  std::vector<SimulatedJob::Result> results;
  for (std::size_t i = 0; i < setup.batches.size(); ++i) {
    job.observe(i % 2 == 1);  // gradients are folded in other ways in steps that are observed
    const auto batch = random_batch(setup.batches[i], setup, 100 + i);
    results.push_back(job.step(batch, 3, i, values.parameters, values.statistics));
    for (std::size_t w = 0; w < values.parameters.size(); ++w)
      values.parameters[w] -= 0.1f / static_cast<float>(batch.rows) * results.back().gradient[w];
    values.statistics = results.back().statistics;
  }
  return results;
}

class SameBits : public testing::TestWithParam<JobSetup> {};

TEST_P(SameBits, ForAnyNumberOfRanksAndThreads) {
  JobSetup setup = GetParam();
  const auto expected = train(setup);
  for (const int ranks : {1, 2, 3, 5, 7}) {
    for (const int threads : {1, 2, 3}) {
      setup.ranks = ranks;
      setup.threads = threads;
      const auto results = train(setup);
      for (std::size_t i = 0; i < results.size(); ++i)
        EXPECT_TRUE(results[i] == expected[i])
            << setup.model << ": " << ranks << " ranks of " << threads << " threads, step " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, SameBits,
    testing::Values(
        JobSetup{
            .model = "dense(outputs)", .inputs = 13, .outputs = 10, .shards = 8, .batches = {100, 61, 5}},
        JobSetup{.model = "dense(128) relu dense(128) relu dense(outputs)",
                 .inputs = 32,
                 .outputs = 10,
                 .shards = 8,
                 .batches = {130, 130, 63}},
        JobSetup{.model = "dense(33) batch_norm relu dropout(0.3) dense(17) batch_norm tanh dense(outputs)",
                 .inputs = 9,
                 .outputs = 4,
                 .shards = 13,
                 .batches = {90, 89, 40, 7}},
        JobSetup{.model = "dense(24) batch_norm(statistics=shard) relu residual(relu dense(24) batch_norm) "
                          "dense(outputs)",
                 .loss = "binary_cross_entropy",
                 .inputs = 9,
                 .outputs = 4,
                 .shards = 5,
                 .batches = {64, 64, 3}},
        JobSetup{
            .model = "batch_norm residual(dense(20) sigmoid dense(12) softmax) dropout(0.1) dense(outputs)",
            .loss = "half_squared_error",
            .inputs = 6,
            .outputs = 3,
            .form = TargetForm::values,
            .shards = 16,
            .batches = {77, 16, 15}},
        JobSetup{
            .model = "noise(0.1) dense(140) layer_norm gelu noise(0.2) residual(dense(33) elu dropout(0.1) "
                     "dense(140)) layer_norm silu dense(20) softplus dense(20) leaky_relu dense(outputs)",
            .loss = "kl_divergence",
            .inputs = 6,
            .outputs = 3,
            .form = TargetForm::values,
            .shards = 11,
            .batches = {77, 16, 9, 1},
            .weighted = true},
        JobSetup{.model = "dense(320) tanh dense(outputs)",
                 .loss = "mse",
                 .inputs = 272,
                 .outputs = 2,
                 .shards = 6,
                 .batches = {24, 23}},
        JobSetup{.model = "dense(1) sigmoid dense(outputs)",
                 .loss = "softmax_cross_entropy(label_smoothing=0.1)",
                 .inputs = 1,
                 .outputs = 2,
                 .shards = 32,
                 .batches = {400, 31}}));

class SameBitsInBf16 : public SameBits {};

TEST_P(SameBitsInBf16, ForAnyNumberOfRanksAndThreads) {
  if (!has_bf16()) GTEST_SKIP() << "no bf16 here";
  JobSetup setup = GetParam();
  const auto in_f32 = train(setup);
  setup.precision = Precision::bf16;
  const auto expected = train(setup);
  EXPECT_FALSE(expected[0] == in_f32[0]);
  for (const auto& [ranks, threads] : {std::pair{1, 2}, {2, 1}, {3, 2}, {5, 1}, {7, 3}}) {
    setup.ranks = ranks;
    setup.threads = threads;
    const auto results = train(setup);
    for (std::size_t i = 0; i < results.size(); ++i)
      EXPECT_TRUE(results[i] == expected[i])
          << setup.model << ": " << ranks << " ranks of " << threads << " threads, step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, SameBitsInBf16,
    testing::Values(
        JobSetup{
            .model = "dense(outputs)", .inputs = 13, .outputs = 10, .shards = 8, .batches = {100, 61, 5}},
        JobSetup{.model = "dense(128) batch_norm relu dense(192) relu dense(outputs)",
                 .inputs = 32,
                 .outputs = 10,
                 .shards = 7,
                 .batches = {900, 900, 63, 3}},
        JobSetup{.model = "dense(33) relu residual(dense(17) tanh dense(24)) dense(outputs)",
                 .inputs = 9,
                 .outputs = 4,
                 .shards = 13,
                 .batches = {90, 89, 40, 7}}));

TEST(SameBits, DependOnTheShards) {
  // Otherwise the comparisons above would show nothing.
  JobSetup setup{
      .model = "dense(20) tanh dense(outputs)", .inputs = 13, .outputs = 10, .shards = 8, .batches = {100}};
  const auto eight = train(setup);
  setup.shards = 7;
  EXPECT_FALSE(train(setup)[0] == eight[0]);
}

TEST(SameBits, OfAStepWhateverWasComputedBefore) {
  const JobSetup setup{.model = "dense(12) batch_norm relu dropout(0.4) dense(outputs)",
                       .inputs = 5,
                       .outputs = 3,
                       .shards = 6,
                       .batches = {50, 31, 4},
                       .ranks = 2,
                       .threads = 2};
  SimulatedJob used(setup);
  const Values values = random_values(used.network(), 5);
  const auto batch_of = [&](std::int64_t rows) { return random_batch(rows, setup, 1); };
  for (const std::int64_t rows : {50, 4, 31, 50, 31}) {
    SimulatedJob fresh(setup);
    EXPECT_TRUE(used.step(batch_of(rows), 1, 9, values.parameters, values.statistics) ==
                fresh.step(batch_of(rows), 1, 9, values.parameters, values.statistics))
        << rows << " rows";
  }
}

TEST(UnitRows, AreAFunctionOfTheBatchAndAtMostAShard) {
  for (const std::int64_t batch : {1, 2, 31, 100, 256, 2048, 8192, 100'000}) {
    for (const std::int64_t shards : {1, 3, 16, 64}) {
      const std::int64_t rows = unit_rows(batch, shards);
      EXPECT_GE(rows, 1);
      EXPECT_LE(rows, 128);
      EXPECT_LE(rows, (batch + shards - 1) / shards);
    }
  }
}

}  // namespace
}  // namespace trainer::nn
