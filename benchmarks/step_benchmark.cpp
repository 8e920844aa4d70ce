// Time of a whole training step (forward, backward, exchange, update) as a share of the processor's
// multiply-add peak, measured in the same run on the same cores, beside the memory's bandwidth. Usage:
// [mpirun -np N] step_benchmark
// [--threads=T] [Google Benchmark's options, such as
// --benchmark_repetitions=10 --benchmark_filter=1024]
//
// The peak and the bandwidth are taken by all ranks at once, before and after; a step's time is the slowest
// rank's. Every step computes on fresh random rows; the first steps are checked against a finite loss.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "fma_peak.h"
#include "memory_bandwidth.h"
#include "trainer/comm/communicator.h"
#include "trainer/core/clock.h"
#include "trainer/core/random.h"
#include "trainer/core/tree.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/train/noise_scale.h"
#include "trainer/train/step.h"

namespace trainer::benchmarks {
namespace {

constexpr std::int64_t kInputs = 784, kOutputs = 10;

class RandomRows final : public nn::RowSource {
 public:
  explicit RandomRows(std::int64_t rows) : values_(static_cast<std::size_t>(rows * kInputs)) {
    RandomStream stream(RandomKey(1, Purpose::self_test), 0);
    for (float& value : values_) value = stream.uniform_float();
  }
  void inputs(Range rows, float* out) const override {
    std::memcpy(out, values_.data() + rows.begin * kInputs,
                static_cast<std::size_t>(rows.size() * kInputs) * sizeof(float));
  }
  void classes(Range rows, std::int32_t* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) *out++ = static_cast<std::int32_t>(r % kOutputs);
  }
  void values(Range, float*) const override {}
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  std::vector<float> values_;
};

struct Case {
  std::string name, model;
  std::int64_t batch;
};

const std::vector<Case> kCases = {
    {"784-512-512-10", "dense(512) relu dense(512) relu dense(10)", 256},
    {"784-1024x3-10+batch_norm",
     "dense(1024) batch_norm relu dense(1024) batch_norm relu dense(1024) batch_norm relu dense(10)", 2048}};

/// Operations of the matrix products of a step: forward, weight gradient, and the data gradient but for the
/// first layer.
double operations(const nn::Network& network, std::int64_t batch) {
  double sum = 0;
  bool first = true;
  for (const auto& tensor : network.parameters()) {
    if (!tensor.is_dense_weight()) continue;
    sum += 2.0 * static_cast<double>(batch) * static_cast<double>(tensor.size) * (first ? 2 : 3);
    first = false;
  }
  return sum;
}

double sum_over_ranks(const comm::Communicator& world, double mine) {
  const auto all = world.all_gather(mine);
  return std::accumulate(all.begin(), all.end(), 0.0);
}

double slowest(const comm::Communicator& world, double mine) {
  const auto all = world.all_gather(mine);
  return *std::max_element(all.begin(), all.end());
}

/// What all ranks reach together, the better of two measurements, each taken by all at once.
struct Limits {
  double peak = 0;       ///< operations a second
  double bandwidth = 0;  ///< bytes a second
  void measure(const comm::Communicator& world, int threads) {
    world.barrier();
    peak = std::max(peak, sum_over_ranks(world, fma_peak(threads, 0.3)));
    world.barrier();
    bandwidth = std::max(bandwidth, sum_over_ranks(world, memory_bandwidth(threads, 0.2)));
  }
};

void run_case(benchmark::State& state, const comm::Communicator& world, int threads, const Case& test,
              std::int64_t shards) {
  Team team(threads);
  const nn::Loss loss = nn::Loss::parse("softmax_cross_entropy");
  const nn::Network network(nn::join(nn::Model(test.model, kInputs, kOutputs), loss), threads);
  const auto optimizer = optim::Optimizer::parse("adam");
  train::Step::Settings settings;
  settings.shards = shards;
  settings.batches = {test.batch};
  train::Step step(world, team, network, loss, nn::TargetForm::classes, *optimizer, settings);
  network.initialise(1, step.parameters().data(), step.statistics().data());
  const RandomRows rows(step.rows(test.batch).size());
  std::int64_t number = 0;
  for (int i = 0; i < 3; ++i) {
    const auto result = step.run(rows, test.batch, ++number, 1e-4, {});
    if (!std::isfinite(result.loss_sum)) return state.SkipWithError("the loss is not finite");
  }
  Limits limits;
  limits.measure(world, threads);
  double seconds = 0;
  const train::StepSeconds before = step.seconds();
  for (auto _ : state) {
    world.barrier();
    const Stopwatch watch;
    step.run(rows, test.batch, ++number, 1e-4, {});
    step.wait_for_parameters();  // the step's own, though they may come in under the next one
    const double mine = slowest(world, watch.seconds());
    state.SetIterationTime(mine);
    seconds += mine;
  }
  limits.measure(world, threads);
  const auto steps = static_cast<double>(state.iterations());
  const double rate = operations(network, test.batch) * steps / seconds;
  state.counters["samples/s"] = static_cast<double>(test.batch) * steps / seconds;
  state.counters["GF/s"] = rate * 1e-9;
  state.counters["peak_GF/s"] = limits.peak * 1e-9;
  state.counters["share_of_peak"] = rate / limits.peak;
  state.counters["triad_GB/s"] = limits.bandwidth * 1e-9;
  state.counters["shards"] = static_cast<double>(shards);
  state.counters["exchange_share"] =
      (step.seconds().communicate - before.communicate + step.seconds().wait - before.wait) /
      (step.seconds().total - before.total);
}

/// What an observed step (noise scale) costs, and what one in NoiseScale::kEvery adds to all: plain and
/// observed steps in turn, medians.
void run_observing(benchmark::State& state, const comm::Communicator& world, int threads, const Case& test) {
  Team team(threads);
  const nn::Loss loss = nn::Loss::parse("softmax_cross_entropy");
  const nn::Network network(nn::join(nn::Model(test.model, kInputs, kOutputs), loss), threads);
  const auto optimizer = optim::Optimizer::parse("adam");
  train::Step::Settings settings;
  settings.shards = default_shards(test.batch);
  settings.batches = {test.batch};
  train::Step step(world, team, network, loss, nn::TargetForm::classes, *optimizer, settings);
  network.initialise(1, step.parameters().data(), step.statistics().data());
  const RandomRows rows(step.rows(test.batch).size());
  std::int64_t number = 0;
  std::vector<double> plain, observed;
  for (auto _ : state) {
    for (const bool observe : {false, true}) {
      train::StepRequests requests;
      requests.observe = observe;
      world.barrier();
      const Stopwatch watch;
      step.run(rows, test.batch, ++number, 1e-4, requests);
      const double seconds = slowest(world, watch.seconds());
      (observe ? observed : plain).push_back(seconds);
      state.SetIterationTime(seconds);
    }
  }
  const auto median = [](std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + std::ssize(values) / 2);
    return values[values.size() / 2];
  };
  const double more = median(observed) / median(plain) - 1;
  state.counters["observed_step_more"] = more;
  state.counters["all_steps_more"] = more / static_cast<double>(train::NoiseScale::kEvery);
}

/// A way to compute a network.
struct Way {
  std::string name;
  nn::Tuning tuning = {};
  bool shared_gradients = true;
  std::int64_t shards = 0;  ///< 0: the default
};

/// Steps of two ways in turn: medians, and the fastest of each, which other work on the machine disturbs
/// least, as shares of the peak in f32; and how many times as fast the first is as the second.
void run_in_turn(benchmark::State& state, const comm::Communicator& world, int threads, const Case& test,
                 const Way& first, const Way& second) {
  Team team(threads);
  const nn::Loss loss = nn::Loss::parse("softmax_cross_entropy");
  const auto optimizer = optim::Optimizer::parse("adam");
  struct Side {
    nn::Network network;
    train::Step step;
    std::vector<double> seconds = {};
    Side(const comm::Communicator& ranks, Team& the_team, const Case& what, const nn::Loss& the_loss,
         const optim::Optimizer& adam, const Way& way)
        : network(nn::join(nn::Model(what.model, kInputs, kOutputs), the_loss), the_team.size(), way.tuning),
          step(ranks, the_team, network, the_loss, nn::TargetForm::classes, adam, settings_of(what, way)) {
      network.initialise(1, step.parameters().data(), step.statistics().data());
    }
    static train::Step::Settings settings_of(const Case& what, const Way& way) {
      train::Step::Settings settings;
      settings.shards = way.shards > 0 ? way.shards : default_shards(what.batch);
      settings.batches = {what.batch};
      settings.shared_gradients = way.shared_gradients;
      return settings;
    }
  };
  Side one(world, team, test, loss, *optimizer, first), other(world, team, test, loss, *optimizer, second);
  const RandomRows rows(one.step.rows(test.batch).size());
  std::int64_t number = 0;
  for (auto _ : state) {
    ++number;
    for (Side* side : {&one, &other}) {
      world.barrier();
      const Stopwatch watch;
      side->step.run(rows, test.batch, number, 1e-4, {});
      side->step.wait_for_parameters();
      side->seconds.push_back(slowest(world, watch.seconds()));
      state.SetIterationTime(side->seconds.back());
    }
  }
  const double peak = sum_over_ranks(world, fma_peak(threads, 0.3));
  const auto middle = [](const Side& side) { return side.seconds[side.seconds.size() / 2]; };
  for (const auto& [side, way] : {std::pair{&one, &first}, std::pair{&other, &second}}) {
    std::ranges::sort(side->seconds);
    const double work = operations(side->network, test.batch) / peak;
    state.counters[way->name + "_median"] = work / middle(*side);
    state.counters[way->name + "_best"] = work / side->seconds[0];
  }
  state.counters["times_median"] = middle(other) / middle(one);
  state.counters["times_best"] = other.seconds[0] / one.seconds[0];
}

/// Nothing is printed by other ranks than 0.
class Silent final : public benchmark::BenchmarkReporter {
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

}  // namespace
}  // namespace trainer::benchmarks

int main(int argc, char** argv) {
  using namespace trainer;
  using namespace trainer::benchmarks;
  make_unnamed_teams_serial();
  const comm::Environment environment(&argc, &argv);
  const auto world = comm::Communicator::world(environment);
  int threads = 1;
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], "--threads=", 10) == 0) {
      threads = std::max(1, std::atoi(argv[i] + 10));
      std::rotate(argv + i, argv + i + 1, argv + argc);
      --argc;
      --i;
    }
  for (const Case& test : kCases) {
    const auto add = [&](const std::string& name, std::int64_t shards) {
      benchmark::RegisterBenchmark((test.name + "/batch:" + std::to_string(test.batch) + name).c_str(),
                                   [&world, threads, &test, shards](benchmark::State& state) {
                                     run_case(state, world, threads, test, shards);
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond)
          ->Iterations(test.batch > 1000 ? 8 : 100)
          ->ReportAggregatesOnly(true);
    };
    const std::int64_t usual = default_shards(test.batch), few = std::int64_t{world.size()} * threads;
    add("/S=default", usual);
    if (few != usual) add("/S=ranks*threads", few);  // what the same bits at any scale cost
  }
  for (const Case& test : kCases)
    benchmark::RegisterBenchmark(
        (test.name + "/observing").c_str(),
        [&world, threads, &test](benchmark::State& state) { run_observing(state, world, threads, test); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(test.batch > 1000 ? 30 : 300);
  const Way own{"own", {}}, product{"onednn", {.own_weight_gradient = false}},
      bf16{"bf16", {.precision = nn::Precision::bf16}}, f32{"f32", {}}, shared{"shared"},
      messages{"messages", {}, false}, same_bits{"same_bits"},
      few{"few", {}, true, std::int64_t{world.size()} * threads};
  const auto in_turn = [&](const Case& test, const char* name, const Way& first, const Way& second) {
    benchmark::RegisterBenchmark((test.name + name).c_str(),
                                 [&world, threads, &test, &first, &second](benchmark::State& state) {
                                   run_in_turn(state, world, threads, test, first, second);
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(test.batch > 1000 ? 30 : 300);
  };
  for (const Case& test : kCases) in_turn(test, "/weight_gradients", own, product);
  for (const Case& test : kCases) in_turn(test, "/few_shards", same_bits, few);
  if (world.size() > 1)
    for (const Case& test : kCases) in_turn(test, "/shared_gradients", shared, messages);
  if (nn::has_bf16())
    for (const Case& test : kCases) in_turn(test, "/bf16", bf16, f32);
  benchmark::Initialize(&argc, argv);
  if (world.rank() == 0) {
    std::printf("%d rank(s) x %d thread(s), oneDNN %s %s\n", world.size(), threads,
                nn::onednn_version().c_str(), nn::onednn_isa().c_str());
    benchmark::RunSpecifiedBenchmarks();
  } else {
    Silent silent;
    benchmark::RunSpecifiedBenchmarks(&silent);
  }
  return 0;
}
