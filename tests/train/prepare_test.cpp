#include "trainer/train/prepare.h"

#include <gtest/gtest.h>

#include "trainer/core/error.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/nn/pass.h"
#include "trainer/train/step.h"
#include "trainer/train/tuning.h"

namespace trainer::train {
namespace {

TEST(Duration, IsReadInEveryForm) {
  EXPECT_EQ(parse_duration("--time-limit", "90 min"), 5400);
  EXPECT_EQ(parse_duration("--time-limit", "30 s"), 30);
  EXPECT_EQ(parse_duration("--time-limit", "1.5 h"), 5400);
  EXPECT_EQ(parse_duration("--time-limit", "24:00:00"), 86400);
  EXPECT_EQ(parse_duration("--time-limit", "1-00:00:00"), 86400);
  EXPECT_EQ(parse_duration("--time-limit", "02:30"), 150);
}

TEST(Duration, BadTextsAreUsageErrors) {
  for (const char* source :
       {"90", "min", "90 parsecs", "-5 min", "1:2:3:4", "1-30", "a:b:c", "1::2", "nan min"})
    EXPECT_THROW(parse_duration("--time-limit", source), Error) << source;
}

Configuration small() {
  Configuration configuration;
  configuration.data = "generate:blobs(rows=100, features=4, classes=3)";
  configuration.model = "dense(8) relu dense(outputs)";
  configuration.batch_size = "32";
  return configuration;
}

Prepared prepared(const Configuration& configuration) {
  const auto alone = comm::Communicator::alone();
  return prepare(alone, prepare_training_data(alone, alone, configuration), configuration, 1);
}

TEST(Prepare, NumbersFollowFromTheData) {
  const Prepared run = prepared(small());  // 90 training rows
  EXPECT_EQ(run.plan.batch, 32);
  EXPECT_EQ(run.plan.steps_per_epoch, 3);
  EXPECT_EQ(run.plan.total_steps, 60);
  EXPECT_EQ(run.plan.shards, 1);
  EXPECT_EQ(run.resolved.at("loss"), "softmax_cross_entropy");
  EXPECT_EQ(run.resolved.at("lr"), "0.001");
  EXPECT_EQ(run.network->parameter_count(), 8 * 4 + 8 + 3 * 8 + 3);
}

TEST(Prepare, FullBatchAndMaxSteps) {
  Configuration configuration = small();
  configuration.batch_size = "full";
  configuration.max_steps = 7;
  const Prepared run = prepared(configuration);
  EXPECT_EQ(run.plan.batch, 90);
  EXPECT_EQ(run.plan.steps_per_epoch, 1);
  EXPECT_EQ(run.plan.total_steps, 7);
  configuration.epochs = 3;
  EXPECT_EQ(prepared(configuration).plan.total_steps, 3);
}

TEST(Prepare, TwoClassesMayBeOneOutput) {
  Configuration configuration = small();
  configuration.data = "generate:circle(rows=50)";
  configuration.model = "dense(8) tanh dense(1)";
  EXPECT_EQ(prepared(configuration).resolved.at("loss"), "binary_cross_entropy");
  configuration.loss = "softmax_cross_entropy";
  EXPECT_THROW(prepared(configuration), Error);
}

TEST(Prepare, TuningChoosesTheKernel) {
  // oneDNN's product with AVX-512 is better on few rows; with AVX2 alone it never is.
  const bool wide_vectors = nn::onednn_isa().rfind("AVX512", 0) == 0;
  EXPECT_EQ(Tuning{}.of_network(64).own_weight_gradient, !wide_vectors) << nn::onednn_isa();
  EXPECT_TRUE(Tuning{}.of_network(128).own_weight_gradient);
  EXPECT_TRUE(Tuning::parse("weight_gradient=own").of_network(64).own_weight_gradient);
  EXPECT_FALSE(Tuning::parse("weight_gradient=onednn").of_network(128).own_weight_gradient);
  Configuration configuration = small();
  EXPECT_TRUE(prepared(configuration).tuning.overlap);
  EXPECT_TRUE(prepared(configuration).tuning.shared_gradients);
  configuration.tuning = "overlap=off shared_gradients=off";
  EXPECT_FALSE(prepared(configuration).tuning.overlap);
  EXPECT_FALSE(prepared(configuration).tuning.shared_gradients);
}

TEST(Prepare, BadSettingsAreUsageErrors) {
  const auto refused = [](auto change) {
    Configuration configuration = small();
    change(configuration);
    try {
      prepared(configuration);
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::usage;
    }
  };
  EXPECT_TRUE(refused([](Configuration& c) { c.batch_size = "0"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.validation = "1"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.model = "dense(8) relu dense(4)"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.model = "dense(8) dense(outputs) relu"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.evaluate_every = "0 steps"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.checkpoint_every = "often"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.early_stopping = "test_loss"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.time_limit = "soon"; }));
  EXPECT_TRUE(refused([](Configuration& c) { c.tuning = "overlap=maybe"; }));
  EXPECT_FALSE(refused([](Configuration&) {}));
}

TEST(UnitRows, DependOnTheBatchAlone) {
  EXPECT_EQ(nn::unit_rows(256, 4), 32);
  EXPECT_EQ(nn::unit_rows(2048, 16), 128);
  EXPECT_EQ(nn::unit_rows(8192, 64), 128);
  EXPECT_EQ(nn::unit_rows(1, 1), 1);
}

TEST(BlockFloats, GrowWithTheNetworkWithinLimits) {
  EXPECT_EQ(block_floats(10), 16);
  EXPECT_EQ(block_floats(669'706), 256);
  EXPECT_EQ(block_floats(1'000'000'000), 4096);
}

}  // namespace
}  // namespace trainer::train
