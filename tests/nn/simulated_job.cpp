#include "simulated_job.h"

#include <cstring>
#include <exception>
#include <thread>

#include "batch_source.h"
#include "trainer/core/error.h"

namespace trainer::nn::simulation {

Model joined_model(const JobSetup& setup) {
  return join(Model(setup.model, setup.inputs, setup.outputs), Loss::parse(setup.loss));
}

struct SimulatedJob::Rank {
  Rank(const JobSetup& setup, ThreadFold& fold, std::size_t number, ShardPlan plan)
      : network(joined_model(setup), setup.threads, {.precision = setup.precision}),
        team(setup.threads),
        pieces(plan.pieces),
        pass(network, Loss::parse(setup.loss), setup.form, team, std::move(plan), setup.batches,
             fold.of(number)) {}

  Network network;
  Team team;
  std::vector<Range> pieces;
  TrainingPass pass;
  // Of the current step.
  std::vector<LossSums> sums;
  std::vector<float> statistics;
  Observation observation;
  std::vector<double> shard_squares;
  std::exception_ptr exception;
};

SimulatedJob::SimulatedJob(const JobSetup& setup) : setup_(setup) {
  const auto boundaries = run_boundaries(setup.shards, setup.ranks);
  std::vector<std::vector<Range>> pieces;
  for (std::size_t r = 0; r + 1 < boundaries.size(); ++r)
    pieces.push_back(maximal_subtrees(setup.shards, {boundaries[r], boundaries[r + 1]}));
  fold_ = std::make_unique<ThreadFold>(setup.shards, pieces);
  for (std::size_t r = 0; r < pieces.size(); ++r)
    ranks_.push_back(std::make_unique<Rank>(
        setup, *fold_, r, ShardPlan{setup.shards, {boundaries[r], boundaries[r + 1]}, pieces[r]}));
}

SimulatedJob::~SimulatedJob() = default;
SimulatedJob::SimulatedJob(SimulatedJob&&) noexcept = default;

const Network& SimulatedJob::network() const { return ranks_.front()->network; }

namespace {

bool same_observation(const Observation& a, const Observation& b) {
  bool same = a.squares == b.squares && a.squares_per_row == b.squares_per_row && a.shards == b.shards &&
              a.dense.size() == b.dense.size() && a.relus.size() == b.relus.size();
  for (std::size_t i = 0; same && i < a.dense.size(); ++i)
    same = a.dense[i].path == b.dense[i].path && a.dense[i].mean_delta == b.dense[i].mean_delta;
  for (std::size_t i = 0; same && i < a.relus.size(); ++i)
    same = a.relus[i].path == b.relus[i].path && a.relus[i].units == b.relus[i].units &&
           a.relus[i].dead == b.relus[i].dead;
  return same;
}

}  // namespace

bool SimulatedJob::Result::operator==(const Result& other) const {
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  };
  return std::memcmp(&sums, &other.sums, sizeof sums) == 0 && same(gradient, other.gradient) &&
         same(statistics, other.statistics) && same_observation(observation, other.observation) &&
         shard_squares == other.shard_squares;
}

void SimulatedJob::run_rank(Rank& rank, const reference::Batch& batch, std::uint64_t seed, std::uint64_t step,
                            const std::vector<float>& parameters) {
  const BatchSource source(batch, rank.pass.rows(batch.rows));
  rank.pass.observe(observed_);
  const auto sums =
      rank.pass.forward(source, batch.rows, seed, step, parameters.data(), rank.statistics.data());
  rank.sums.assign(sums.begin(), sums.end());
  const auto& layers = rank.network.layers();
  std::vector<std::vector<float>> when_done;
  int next = 0;
  rank.pass.backward([&](int layer) {
    require(layer == next++, ErrorKind::internal, "layer ", layer, " was done out of turn");
    const ParameterLayer& done = layers.at(static_cast<std::size_t>(layer));
    for (std::size_t p = 0; p < rank.pieces.size(); ++p) {
      const float* first = rank.pass.gradient(p) + done.offset;
      when_done.emplace_back(first, first + done.size);
    }
  });
  require(next == static_cast<int>(layers.size()), ErrorKind::internal, "only ", next, " layers were done");
  if (observed_) {
    rank.observation = rank.pass.observation();
    rank.shard_squares.assign(rank.pass.shard_squares().begin(), rank.pass.shard_squares().end());
  }
  for (std::size_t i = 0; i < when_done.size(); ++i) {
    const float* now = rank.pass.gradient(i % rank.pieces.size()) + layers[i / rank.pieces.size()].offset;
    require(std::memcmp(now, when_done[i].data(), when_done[i].size() * sizeof(float)) == 0,
            ErrorKind::internal, "a layer was said to be done and changed afterwards");
  }
}

SimulatedJob::Result SimulatedJob::step(const reference::Batch& batch, std::uint64_t seed, std::uint64_t step,
                                        const std::vector<float>& parameters,
                                        const std::vector<float>& statistics) {
  fold_->set_batch(batch.rows);
  std::vector<std::thread> threads;
  for (auto& rank : ranks_) {
    rank->statistics = statistics;
    rank->exception = nullptr;
    threads.emplace_back([&, mine = rank.get()] {
      make_unnamed_teams_serial();  // a thread of ours does not inherit it
      try {
        run_rank(*mine, batch, seed, step, parameters);
      } catch (...) {
        mine->exception = std::current_exception();
        fold_->leave();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& rank : ranks_)
    if (rank->exception) std::rethrow_exception(rank->exception);

  Result result;
  const Range all{0, setup_.shards};
  result.sums = *fold_->fold<LossSums>(
      all, [&](std::size_t rank, std::size_t piece) { return ranks_[rank]->sums.at(piece); },
      [](Range, Range, LossSums& left, const LossSums& right) {
        left.loss += right.loss;
        left.correct += right.correct;
      });
  const auto floats = static_cast<std::size_t>(network().parameter_floats());
  result.gradient = *fold_->fold<std::vector<float>>(
      all,
      [&](std::size_t rank, std::size_t piece) {
        const float* first = ranks_[rank]->pass.gradient(piece);
        return std::vector<float>(first, first + floats);
      },
      [](Range, Range, std::vector<float>& left, const std::vector<float>& right) {
        for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
      });
  result.statistics = ranks_.front()->statistics;
  for (const auto& rank : ranks_)
    require(result.statistics.empty() || std::memcmp(result.statistics.data(), rank->statistics.data(),
                                                     result.statistics.size() * sizeof(float)) == 0,
            ErrorKind::internal, "ranks have different running statistics");
  if (!observed_) return result;
  result.observation = ranks_.front()->observation;
  for (const auto& rank : ranks_) {
    require(same_observation(rank->observation, result.observation), ErrorKind::internal,
            "ranks observed different things");
    result.shard_squares.insert(result.shard_squares.end(), rank->shard_squares.begin(),
                                rank->shard_squares.end());
  }
  return result;
}

}  // namespace trainer::nn::simulation
