// What a step shows of itself when it is asked to.
#include <gtest/gtest.h>

#include <cmath>

#include "against_reference.h"
#include "random_values.h"
#include "reference.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;
using simulation::SimulatedJob;

double squares_of(const reference::Tensors& tensors) {
  double sum = 0;
  for (const auto& [path, values] : tensors)
    for (const double v : values) sum += v * v;
  return sum;
}

/// Rows [begin, end) of a batch, as a batch.
reference::Batch part_of(const reference::Batch& batch, const JobSetup& setup, std::int64_t begin,
                         std::int64_t end) {
  const auto rows_of = [&](const auto& all, std::int64_t width) {
    return all.empty() ? all
                       : std::decay_t<decltype(all)>(all.begin() + begin * width, all.begin() + end * width);
  };
  return {.rows = end - begin,
          .inputs = rows_of(batch.inputs, setup.inputs),
          .classes = rows_of(batch.classes, 1),
          .values = rows_of(batch.values, setup.outputs),
          .samples = rows_of(batch.samples, 1),
          .weights = rows_of(batch.weights, 1)};
}

class Observed : public testing::TestWithParam<JobSetup> {};

TEST_P(Observed, IsWhatTheReferenceHas) {
  const JobSetup& setup = GetParam();
  SimulatedJob job(setup);
  job.observe(true);
  const reference::ReferenceNetwork network(simulation::joined_model(setup), Loss::parse(setup.loss));
  const Values values = random_values(job.network(), 3);
  const auto parameters = to_tensors(job.network().parameters(), values.parameters.data());
  const auto statistics = to_tensors(job.network().statistics(), values.statistics.data());
  for (std::size_t i = 0; i < setup.batches.size(); ++i) {
    const reference::Batch batch = random_batch(setup.batches[i], setup, 40 + i);
    const auto result = job.step(batch, 5, i, values.parameters, values.statistics);
    const reference::Step step{.shards = setup.shards, .seed = 5, .step = i};
    const auto exact = network.run(parameters, statistics, batch, step);

    double squares = 0, squares_per_row = 0;
    std::int64_t shards = 0;
    for (std::int64_t s = 0; s < setup.shards; ++s) {
      const Range rows = cut(batch.rows, setup.shards, s);
      double norm = 0;
      if (rows.size() > 0) {
        norm = squares_of(
            network.run(parameters, statistics, part_of(batch, setup, rows.begin, rows.end), step).gradients);
        squares += norm;
        squares_per_row += norm / static_cast<double>(rows.size());
        ++shards;
      }
      EXPECT_NEAR(result.shard_squares[static_cast<std::size_t>(s)], norm, 1e-4 * norm) << "shard " << s;
    }
    EXPECT_NEAR(result.observation.squares, squares, 1e-4 * squares);
    EXPECT_NEAR(result.observation.squares_per_row, squares_per_row, 1e-4 * squares_per_row);
    EXPECT_EQ(result.observation.shards, shards);

    ASSERT_EQ(result.observation.dense.size(), exact.deltas.size());
    for (const auto& dense : result.observation.dense) {
      const std::vector<double>& delta = exact.deltas.at(dense.path);
      double sum = 0;
      for (const double d : delta) sum += std::abs(d);
      const double mean = sum / static_cast<double>(delta.size());
      EXPECT_NEAR(dense.mean_delta, mean, 1e-4 * mean) << dense.path;
    }
    ASSERT_EQ(result.observation.relus.size(), exact.relus.size());
    for (const auto& relu : result.observation.relus) {
      const std::vector<double>& y = exact.relus.at(relu.path);
      ASSERT_EQ(relu.units * batch.rows, static_cast<std::int64_t>(y.size()));
      std::int64_t dead = 0;
      for (std::int64_t u = 0; u < relu.units; ++u) {
        bool active = false;
        for (std::int64_t r = 0; r < batch.rows; ++r)
          active = active || y[static_cast<std::size_t>(r * relu.units + u)] > 0;
        dead += active ? 0 : 1;
      }
      EXPECT_EQ(relu.dead, dead) << relu.path;
    }
  }
}

// No batch norm: a shard alone has other statistics.
INSTANTIATE_TEST_SUITE_P(
    Nets, Observed,
    testing::Values(
        JobSetup{.model = "dense(70) relu dropout(0.3) dense(60) relu dense(outputs)",
                 .inputs = 9,
                 .outputs = 5,
                 .shards = 6,
                 .batches = {31, 6, 4, 1},
                 .ranks = 4,
                 .threads = 2},
        JobSetup{.model = "dense(200) layer_norm relu residual(dense(130, bias=no) relu dense(20)) gelu "
                          "dense(outputs)",
                 .loss = "mse",
                 .inputs = 150,
                 .outputs = 3,
                 .form = TargetForm::values,
                 .shards = 3,
                 .batches = {16, 7},
                 .ranks = 5,
                 .weighted = true}));

TEST(Observation, CountsBatchNormsGradient) {
  // One shard: its gradient is the whole gradient.
  const JobSetup setup{
      .model = "dense(9) batch_norm relu dense(outputs)", .inputs = 4, .outputs = 3, .batches = {20}};
  SimulatedJob job(setup);
  job.observe(true);
  const Values values = random_values(job.network(), 3);
  const auto result = job.step(random_batch(20, setup, 1), 1, 1, values.parameters, values.statistics);
  double squares = 0;
  for (const float g : result.gradient) squares += static_cast<double>(g) * static_cast<double>(g);
  EXPECT_NEAR(result.observation.squares, squares, 1e-12 * squares);
}

TEST(Observation, ListsDenseLayersInTheOrderOfBackwardAndRelusInThatOfForward) {
  const JobSetup setup{
      .model = "dense(9) batch_norm relu residual(dense(8) layer_norm relu) batch_norm dense(outputs)",
      .inputs = 4,
      .outputs = 3,
      .batches = {20}};
  SimulatedJob job(setup);
  job.observe(true);
  const Values values = random_values(job.network(), 3);
  const auto seen =
      job.step(random_batch(20, setup, 1), 1, 1, values.parameters, values.statistics).observation;
  std::vector<std::string> dense, relus;
  for (const auto& one : seen.dense) dense.push_back(one.path);
  for (const auto& one : seen.relus) relus.push_back(one.path);
  EXPECT_EQ(dense, (std::vector<std::string>{"05_dense", "03_residual/00_dense", "03_residual/projection",
                                             "00_dense"}));
  EXPECT_EQ(relus, (std::vector<std::string>{"02_relu", "03_residual/02_relu"}));
}

class Observing : public testing::TestWithParam<JobSetup> {};

TEST_P(Observing, ChangesNoBitOfTheStep) {
  const JobSetup& setup = GetParam();
  for (const std::int64_t rows : setup.batches) {
    SimulatedJob job(setup);
    const Values values = random_values(job.network(), 3);
    const auto batch = random_batch(rows, setup, 1);
    const auto plain = job.step(batch, 1, 1, values.parameters, values.statistics);
    job.observe(true);
    auto watched = job.step(batch, 1, 1, values.parameters, values.statistics);
    EXPECT_GT(watched.observation.squares, 0);
    watched.observation = {};
    watched.shard_squares = {};
    EXPECT_TRUE(watched == plain);
    job.observe(false);
    EXPECT_TRUE(job.step(batch, 1, 1, values.parameters, values.statistics) == plain);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, Observing,
    testing::Values(
        JobSetup{.model = "dense(19) batch_norm relu dropout(0.2) dense(17) layer_norm relu dense(outputs)",
                 .inputs = 4,
                 .outputs = 3,
                 .shards = 4,
                 .batches = {30},
                 .ranks = 3,
                 .threads = 2},
        // Inputs and outputs that take several tiles, weights in panels and not, shards without rows.
        JobSetup{.model = "dense(320) relu dense(128) relu dense(100, bias=no) dense(outputs)",
                 .inputs = 300,
                 .outputs = 65,
                 .shards = 11,
                 .batches = {100, 7},
                 .ranks = 2,
                 .threads = 2}));

}  // namespace
}  // namespace trainer::nn
