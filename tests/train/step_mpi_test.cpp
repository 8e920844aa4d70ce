// A step on real ranks: the same bits as one rank would give, and no more bytes than the exchange needs.

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "trainer/comm/agreement.h"
#include "trainer/core/random.h"
#include "trainer/train/step.h"

namespace trainer::train {
namespace {

/// Rows that differ, by their place in the batch; a row may be poisoned.
class DrawnRows final : public nn::RowSource {
 public:
  DrawnRows(std::int64_t first, std::int64_t step, std::int64_t columns, std::int64_t poisoned = -1)
      : first_(first), step_(step), columns_(columns), poisoned_(poisoned) {}
  void inputs(Range rows, float* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      RandomStream stream(RandomKey(5, Purpose::self_test, static_cast<std::uint64_t>(step_)),
                          static_cast<std::uint64_t>(first_ + r));
      for (std::int64_t c = 0; c < columns_; ++c) *out++ = static_cast<float>(stream.normal());
      if (first_ + r == poisoned_) out[-1] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  void classes(Range rows, std::int32_t* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      *out++ = static_cast<std::int32_t>((first_ + r) % 10);
  }
  void values(Range, float*) const override {}
  std::int64_t sample(std::int64_t row) const override { return first_ + row; }

 private:
  std::int64_t first_, step_, columns_, poisoned_;
};

struct Job {
  Job(
      const comm::Communicator& world, std::int64_t inputs, const std::string& model, std::int64_t batch,
      std::int64_t shards, const std::function<void(Step::Settings&)>& change = [](Step::Settings&) {})
      : team(2),
        loss(nn::Loss::parse("softmax_cross_entropy")),
        network(nn::join(nn::Model(model, inputs, 10), loss), team.size()),
        optimizer(optim::Optimizer::parse("adam")),
        columns(inputs),
        step(world, team, network, loss, nn::TargetForm::classes, *optimizer,
             settings(batch, shards, change)) {
    network.initialise(3, step.parameters().data(), step.statistics().data());
  }
  static Step::Settings settings(std::int64_t batch, std::int64_t shards,
                                 const std::function<void(Step::Settings&)>& change) {
    Step::Settings settings;
    settings.batches = {batch};
    settings.shards = shards;
    settings.clip_norm = 0.5;
    settings.penalty = {1e-5, 1e-4, false};
    change(settings);
    return settings;
  }
  StepResult run(std::int64_t number, std::int64_t batch, std::int64_t poisoned = -1) {
    const DrawnRows rows(step.rows(batch).begin, number, columns, poisoned);
    return step.run(rows, batch, number, 0.01, {});
  }
  Team team;
  nn::Loss loss;
  nn::Network network;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::int64_t columns;
  Step step;
};

class StepTest : public testing::Test {
 protected:
  comm::Environment environment_{nullptr, nullptr};
  comm::Communicator world_ = comm::Communicator::world(environment_);
};

constexpr const char* kModel =
    "dense(33) batch_norm relu dropout(0.2) residual(dense(21) tanh dense(33)) dense(10)";

TEST_F(StepTest, GivesTheBitsOfOneRank) {
  const comm::Communicator self = world_.split(world_.rank());
  Job job(world_, 13, kModel, 61, 6), alone(self, 13, kModel, 61, 6);
  for (std::int64_t step = 1; step <= 4; ++step) {
    const StepResult together = job.run(step, 61), single = alone.run(step, 61);
    EXPECT_EQ(together.loss_sum, single.loss_sum) << "step " << step;
    EXPECT_EQ(together.correct, single.correct);
    EXPECT_EQ(together.gradient_norm, single.gradient_norm);
  }
  EXPECT_TRUE(std::ranges::equal(job.step.parameters(), alone.step.parameters()));
  EXPECT_TRUE(std::ranges::equal(job.step.statistics(), alone.step.statistics()));
  for (std::size_t k = 0; k < 2; ++k) {
    const auto gathered = job.step.gather_state(k), wanted = alone.step.gather_state(k);
    if (world_.rank() == 0) {
      EXPECT_EQ(gathered, wanted) << "optimizer state " << k;
    }
  }
}

/// What a job has come to after six steps, and how.
struct Outcome {
  std::vector<double> figures;  ///< of every step
  std::vector<float> on_the_way, parameters, statistics, average, average_statistics;
  bool operator==(const Outcome&) const = default;
};

Outcome train(Job& job, const comm::Communicator& world) {
  Outcome outcome;
  const auto take = [](std::span<const float> values) { return std::vector(values.begin(), values.end()); };
  for (std::int64_t step = 1; step <= 6; ++step) {
    // A rank that is late sends its large messages late: the others begin their step without them.
    if (step % world.size() == world.rank()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const DrawnRows rows(job.step.rows(96).begin, step, job.columns);
    const StepResult result = job.step.run(rows, 96, step, 0.01, {.observe = step == 4});
    outcome.figures.insert(outcome.figures.end(), {result.loss_sum, result.gradient_norm});
    if (step == 4) {
      for (const TensorNorms& norms : result.observation->tensors)
        outcome.figures.insert(outcome.figures.end(), {norms.value, norms.update});
      outcome.figures.push_back(job.step.penalty());
      outcome.on_the_way = take(std::as_const(job.step).parameters());
    }
  }
  outcome.parameters = take(job.step.parameters());
  outcome.statistics = take(job.step.statistics());
  job.step.gather_average(outcome.average, outcome.average_statistics);
  return outcome;
}

/// Layers as large as messages that wait for their receiver, without and with batch norm; with what else
/// reads parameters behind a step.
TEST_F(StepTest, NeitherOverlapNorSharedGradientsChangeBits) {
  const comm::Communicator self = world_.split(world_.rank());
  for (const char* model : {"dense(512) relu dense(512) relu dense(512) tanh dense(10)",
                            "dense(512) batch_norm relu dense(512) batch_norm relu dense(10)"}) {
    for (const double max_norm : {0.0, 0.9}) {
      const auto with_overlap = [&](bool on, bool shared = true) {
        return [=](Step::Settings& settings) {
          settings.overlap = on;
          settings.shared_gradients = shared;
          settings.average = 0.9;
          settings.max_norm = max_norm;
          settings.tensor_norms = true;
        };
      };
      Job on(world_, 64, model, 96, 8, with_overlap(true)),
          off(world_, 64, model, 96, 8, with_overlap(false)),
          apart(world_, 64, model, 96, 8, with_overlap(true, false)),
          alone(self, 64, model, 96, 8, with_overlap(true));
      Outcome expected = train(alone, self);
      if (world_.rank() != 0) {  // averages are rank 0's
        expected.average.clear();
        expected.average_statistics.clear();
      }
      EXPECT_TRUE(train(on, world_) == expected) << model << ", max-norm " << max_norm;
      EXPECT_TRUE(train(off, world_) == expected) << model << ", max-norm " << max_norm;
      EXPECT_TRUE(train(apart, world_) == expected) << model << ", max-norm " << max_norm;
      EXPECT_EQ(on.step.bytes_sent(), off.step.bytes_sent());
      EXPECT_EQ(on.step.bytes_sent(), apart.step.bytes_sent());
      on.run(7, 96);  // and destroyed with its parameters on their way
    }
  }
}

/// What is waited for behind the last step counts as communication.
TEST_F(StepTest, TheTimeOfAStepHoldsWhatIsWaitedForBehindIt) {
  Job job(world_, 784, "dense(512) relu dense(512) relu dense(10)", 64, 8);
  job.run(1, 64);
  const StepSeconds before = job.step.seconds();
  job.step.wait_for_parameters();
  const StepSeconds after = job.step.seconds();
  EXPECT_GE(after.communicate, before.communicate);
  EXPECT_EQ(after.total > before.total, world_.size() > 1);
  EXPECT_NEAR(after.communicate - before.communicate, after.total - before.total, 1e-9);
  job.step.wait_for_parameters();  // there is nothing left to wait for
  EXPECT_EQ(job.step.seconds().total, after.total);
}

TEST_F(StepTest, SendsNoMoreThanTheExchangeNeeds) {
  const int n = world_.size();
  Job job(world_, 784, "dense(128) relu dense(10)", 256, 8);
  job.run(1, 256);
  const auto parameters = static_cast<double>(job.network.parameter_count());
  const bool power_of_two = n == 1 || n == 2 || n == 4;
  const double limit = 2.0 * (n - 1) / n * 4 * parameters * (power_of_two ? 1.01 : 1.6);
  EXPECT_LE(static_cast<double>(job.step.bytes_sent_last_step()), limit);
}

TEST_F(StepTest, OneNanStopsEveryRankBeforeAnythingChanges) {
  Job job(world_, 13, kModel, 61, 6);
  job.run(1, 61);
  const std::vector<float> before(job.step.parameters().begin(), job.step.parameters().end());
  try {
    job.run(2, 61, 60);  // a row of the last rank that has any
    FAIL() << "a nan went through on rank " << world_.rank();
  } catch (const comm::AgreedError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numeric);
    const std::string what = error.what();
    EXPECT_NE(what.find("step 2: the loss is nan, first in the inputs, rows 60 to 60 of the batch (the first "
                        "is row 60 of the data), rank "),
              std::string::npos)
        << what;
  }
  EXPECT_TRUE(std::ranges::equal(job.step.parameters(), before));
}

TEST_F(StepTest, AnUpdateThatOverflowsIsSeenByAllAtItsStep) {
  Job job(world_, 13, kModel, 61, 6);
  const DrawnRows rows(job.step.rows(61).begin, 1, 13);
  try {
    job.step.run(rows, 61, 1, 1e39, {});  // a rate beyond the largest float
    FAIL() << "parameters that are not finite went through on rank " << world_.rank();
  } catch (const comm::AgreedError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numeric);
    EXPECT_NE(std::string(error.what()).find("step 1: the update of layer "), std::string::npos)
        << error.what();
  }
}

TEST_F(StepTest, WhatOneRankAsksForAllHear) {
  Job job(world_, 13, kModel, 61, 6);
  const DrawnRows rows(job.step.rows(61).begin, 1, 13);
  const bool last = world_.rank() == world_.size() - 1;
  const StepResult result = job.step.run(rows, 61, 1, 0.01, {last, false});
  EXPECT_TRUE(result.stop_requested);
  EXPECT_FALSE(result.checkpoint_requested);
}

}  // namespace
}  // namespace trainer::train
