#include "trainer/train/step_times.h"

#include "trainer/core/clock.h"
#include "trainer/core/digest.h"
#include "training.h"

namespace trainer::train {
namespace {

void take_steps(Training& training, std::int64_t steps) {
  const Plan& plan = training.prepared().plan;
  const std::int64_t rows = training.prepared().data->split.training.size();
  for (std::int64_t i = 0; i < steps; ++i) {
    std::int64_t& done = training.progress().step;
    const std::int64_t place = done % plan.steps_per_epoch * plan.batch;
    if (rows - place < plan.batch) ++done;  // on to the next epoch
    training.take_step({});
  }
  training.step().wait_for_parameters();
}

double mean(const comm::Communicator& group, double mine) {
  double sum = 0;
  for (const double each : group.all_gather(mine)) sum += each;
  return sum / group.size();
}

}  // namespace

StepTimes time_steps(const comm::Communicator& group, std::shared_ptr<const PreparedData> data,
                     const Configuration& configuration, int threads, std::int64_t warm_up,
                     std::int64_t steps) {
  Configuration whole = configuration;
  whole.epochs = -1;
  whole.max_steps = 2 * (warm_up + steps) + 2;  // those that are left out counted
  const Prepared prepared = prepare(group, std::move(data), whole, threads);
  Team team(threads);
  Training training(group, team, prepared, whole);
  training.initialise();
  take_steps(training, warm_up);
  group.barrier();
  const StepSeconds before = training.step().seconds();
  const Stopwatch watch;
  take_steps(training, steps);
  const double all = watch.seconds();
  const StepSeconds after = training.step().seconds();

  StepTimes times;
  times.batch = prepared.plan.batch;
  times.shards = prepared.plan.shards;
  times.steps = steps;
  const auto each = [&](double sum) { return mean(group, sum / static_cast<double>(steps)); };
  times.seconds = each(all);
  times.wait = each(after.wait - before.wait);
  times.communicate = each(after.communicate - before.communicate);
  // What is outside of the step itself is the choice of its rows and, for files, the wait for them.
  times.read = each(after.read - before.read + all - (after.total - before.total));
  times.compute = times.seconds - times.wait - times.communicate - times.read;
  times.bytes = mean(group, static_cast<double>(training.step().bytes_sent_last_step()));
  times.weights = digest_of(training.step().parameters().data(), training.step().parameters().size_bytes());
  return times;
}

}  // namespace trainer::train
