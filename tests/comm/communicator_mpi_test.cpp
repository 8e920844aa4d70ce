#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/error.h"

namespace trainer::comm {
namespace {

class CommunicatorTest : public testing::Test {
 protected:
  Environment environment_{nullptr, nullptr};
  Communicator world_ = Communicator::world(environment_);
  int rank_ = world_.rank();
  int size_ = world_.size();
};

TEST_F(CommunicatorTest, BroadcastReachesAllFromEveryRoot) {
  for (int root = 0; root < size_; ++root) {
    std::vector<std::int64_t> values(1001, rank_ == root ? 7000 + root : -1);
    world_.broadcast(values.data(), static_cast<std::int64_t>(values.size() * sizeof(values[0])), root);
    EXPECT_EQ(values, std::vector<std::int64_t>(1001, 7000 + root));
    EXPECT_EQ(world_.broadcast(
                  rank_ == root ? "from " + std::to_string(root) : "something longer that is lost", root),
              "from " + std::to_string(root));
    EXPECT_EQ(world_.broadcast(rank_ == root ? std::string() : "lost", root), "");
  }
}

TEST_F(CommunicatorTest, AllGatherKeepsTheOrderOfRanksAndDifferentSizes) {
  const auto of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank % 3 * 1000), static_cast<char>('a' + rank));
  };
  const std::vector<std::string> texts = world_.all_gather(of(rank_));
  const std::vector<double> numbers = world_.all_gather(rank_ + 0.25);
  const std::vector<std::int64_t> integers = world_.all_gather((std::int64_t{1} << 40) + rank_);
  ASSERT_EQ(static_cast<int>(texts.size()), size_);
  for (int k = 0; k < size_; ++k) {
    const auto i = static_cast<std::size_t>(k);
    EXPECT_EQ(texts[i], of(k));
    EXPECT_EQ(numbers[i], k + 0.25);
    EXPECT_EQ(integers[i], (std::int64_t{1} << 40) + k);
  }
}

TEST_F(CommunicatorTest, GatherJoinsDifferentCountsOnTheRootOnly) {
  const auto of = [](int rank) {
    return std::vector<float>(static_cast<std::size_t>((rank * 5 + 3) % 7 * 50000),
                              0.5F + static_cast<float>(rank));
  };
  for (int root = 0; root < size_; ++root) {
    const std::vector<float> mine = of(rank_);
    const std::vector<float> all = world_.gather(mine.data(), static_cast<std::int64_t>(mine.size()), root);
    std::vector<float> expected;
    for (int k = 0; rank_ == root && k < size_; ++k) {
      const std::vector<float> part = of(k);
      expected.insert(expected.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, expected);
  }
}

TEST_F(CommunicatorTest, SumAddsWhatEveryRankHas) {
  for (const std::size_t count : {0, 1, 7, 40000}) {  // the last in several pieces of a collective's pipeline
    std::vector<std::int64_t> values(count), expected(count);
    for (std::size_t i = 0; i < count; ++i)
      for (int k = 0; k < size_; ++k) {
        const std::int64_t of_rank = (std::int64_t{1} << 40) * (k + 1) - static_cast<std::int64_t>(i) * k;
        if (k == rank_) values[i] = of_rank;
        expected[i] += of_rank;
      }
    world_.sum(values);
    EXPECT_EQ(values, expected);
  }
  std::vector<std::int64_t> mine = {3, -4};
  Communicator::alone().sum(mine);
  EXPECT_EQ(mine, (std::vector<std::int64_t>{3, -4}));
}

TEST_F(CommunicatorTest, SplitMakesGroupsInTheOrderOfRanks) {
  const Communicator half = world_.split(rank_ % 2);
  EXPECT_EQ(half.rank(), rank_ / 2);
  EXPECT_EQ(half.size(), (size_ + 1 - rank_ % 2) / 2);
  const std::vector<std::int64_t> members = half.all_gather(std::int64_t{rank_});
  for (std::size_t k = 0; k < members.size(); ++k)
    EXPECT_EQ(members[k], static_cast<std::int64_t>(2 * k) + rank_ % 2);
}

TEST_F(CommunicatorTest, NodeHoldsTheRanksThatShareMemory) {
  const Communicator node = world_.node();
  EXPECT_EQ(node.size(), size_);  // the tests run on one host
  EXPECT_EQ(node.rank(), rank_);
}

TEST_F(CommunicatorTest, MovedHandlesStayUsable) {
  Communicator copy = world_.duplicate();
  Communicator moved = std::move(copy);
  moved = world_.duplicate();
  moved.barrier();
  moved.poll();
  EXPECT_EQ(moved.size(), size_);
  EXPECT_EQ(moved.all_gather(std::int64_t{1}), std::vector<std::int64_t>(static_cast<std::size_t>(size_), 1));
}

TEST_F(CommunicatorTest, AnErrorOfMpiIsAnException) {
  std::int64_t value = 0;
  try {
    world_.broadcast(&value, sizeof(value), size_ + 5);
    FAIL() << "a root that does not exist was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::communication);
    EXPECT_NE(std::string(error.what()).find("MPI_Ibcast failed: MPI_ERR_ROOT"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace trainer::comm
