#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reference.h"
#include "thread_fold.h"
#include "trainer/nn/pass.h"

namespace trainer::nn::simulation {

/// What is trained, in how many shards, by how many ranks.
struct JobSetup {
  std::string model;
  std::string loss = "softmax_cross_entropy";
  std::int64_t inputs = 1;
  std::int64_t outputs = 1;
  TargetForm form = TargetForm::classes;
  std::int64_t shards = 1;
  std::vector<std::int64_t> batches;  ///< sizes; the first is the largest
  int ranks = 1;
  int threads = 1;
  Precision precision = Precision::f32;
  bool weighted = false;  ///< tests that draw batches draw weights of their rows too
};

Model joined_model(const JobSetup& setup);

/// A whole job in one process: every rank is a thread with a network, a team and a pass of its own. All go
/// through the same steps as ranks under MPI do.
class SimulatedJob {
 public:
  explicit SimulatedJob(const JobSetup& setup);
  ~SimulatedJob();
  SimulatedJob(SimulatedJob&&) noexcept;

  /// Sums over the whole batch, folded in the fixed tree.
  struct Result {
    LossSums sums;
    std::vector<float> gradient;                 ///< flat
    std::vector<float> statistics;               ///< flat; the same on all ranks
    Observation observation = {};                ///< the same on all ranks; when it was asked for
    std::vector<double> shard_squares = {};      ///< likewise, by shard
    bool operator==(const Result& other) const;  ///< bit for bit
  };
  Result step(const reference::Batch& batch, std::uint64_t seed, std::uint64_t step,
              const std::vector<float>& parameters, const std::vector<float>& statistics);
  /// Whether later steps are observed.
  void observe(bool on) { observed_ = on; }

  const Network& network() const;
  const JobSetup& setup() const { return setup_; }

 private:
  struct Rank;
  void run_rank(Rank& rank, const reference::Batch& batch, std::uint64_t seed, std::uint64_t step,
                const std::vector<float>& parameters);

  JobSetup setup_;
  bool observed_ = false;
  std::unique_ptr<ThreadFold> fold_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

}  // namespace trainer::nn::simulation
