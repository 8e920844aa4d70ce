// The same parameters on every rank, or an error that says where not.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "trainer/comm/agreement.h"
#include "trainer/train/replicas.h"

namespace trainer::train {
namespace {

struct Replica {
  explicit Replica(const nn::Network& network)
      : parameters(static_cast<std::size_t>(network.parameter_floats())),
        statistics(static_cast<std::size_t>(network.statistic_floats())) {
    network.initialise(1, parameters.data(), statistics.data());
  }
  std::vector<float> parameters, statistics;
};

class Replicas : public testing::Test {
 protected:
  void check(const Replica& mine) const {
    require_same_replicas(world_, network_, mine.parameters, mine.statistics, 12);
  }
  std::string message(const Replica& mine) const {
    try {
      check(mine);
    } catch (const comm::AgreedError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::communication);
      return error.what();
    }
    return "no error";
  }
  comm::Environment environment_{nullptr, nullptr};
  comm::Communicator world_ = comm::Communicator::world(environment_);
  nn::Network network_{nn::Model("dense(5) batch_norm relu dense(3)", 4, 3), 1};
};

TEST_F(Replicas, EqualOnesPass) { check(Replica(network_)); }

TEST_F(Replicas, OneFlippedBitIsNamedWithItsRankAndTensor) {
  if (world_.size() < 3) GTEST_SKIP() << "two ranks cannot outvote each other";
  Replica mine(network_);
  const int faulty = world_.size() - 1;
  const nn::Tensor& tensor = network_.parameters().back();
  if (world_.rank() == faulty) mine.parameters[static_cast<std::size_t>(tensor.offset)] = 1.0e-7F;
  const std::string what = message(mine);
  EXPECT_NE(what.find("step 12: rank " + std::to_string(faulty) + " on"), std::string::npos) << what;
  EXPECT_NE(what.find("first in " + tensor.path + ":"), std::string::npos) << what;
}

TEST_F(Replicas, MinusZeroIsNotZeroAndStatisticsCount) {
  if (world_.size() < 2) GTEST_SKIP() << "a rank alone is the same as itself";
  Replica mine(network_);
  if (world_.rank() == 0) mine.statistics[0] = -0.0F;
  const std::string what = message(mine);
  EXPECT_NE(what.find("first in 01_batch_norm/running_mean"), std::string::npos) << what;
}

}  // namespace
}  // namespace trainer::train
