#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "trainer/comm/shared_pieces.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/error.h"

namespace trainer::comm {
namespace {

using Values = std::vector<float>;  // empty: absent

/// A batch of `rows` rows in S shards; few rows leave some shards empty.
struct Batch {
  std::int64_t leaves;
  std::int64_t rows;
  int salt;  ///< the step: other data each time

  bool present(Range node) const { return node.begin * rows / leaves != node.end * rows / leaves; }

  /// The leaf's gradient: magnitudes that differ by leaf, some of them -0, nothing alike on two leaves.
  Values leaf(std::int64_t index, std::int64_t floats) const {
    if (!present({index, index + 1})) return {};
    std::mt19937 engine(static_cast<unsigned>(index * 7919 + salt * 104729 + 1));
    std::normal_distribution<float> normal(0,
                                           static_cast<float>(std::exp(static_cast<double>(index % 5) * 2)));
    Values values(static_cast<std::size_t>(floats));
    for (float& value : values) value = normal(engine);
    for (std::size_t i = 0; i < values.size(); i += 5)
      values[i] = index % 3 == 0 || i % 2 == 0 ? -0.0F : values[i];
    return values;
  }

  /// The fixed tree, written down once more and plainly: [begin, end) is cut at the largest power of two
  /// below its size.
  Values fold(Range node, std::int64_t floats) const {
    if (node.size() == 1) return leaf(node.begin, floats);
    std::int64_t half = 1;
    while (half * 2 < node.size()) half *= 2;
    Values left = fold({node.begin, node.begin + half}, floats);
    const Values right = fold({node.begin + half, node.end}, floats);
    if (right.empty()) return left;
    if (left.empty()) return right;
    for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
    return left;
  }
};

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<Segment> segments(const std::vector<std::int64_t>& sizes) {
  std::vector<Segment> layers;
  std::int64_t offset = 0;
  for (const std::int64_t size : sizes) {
    layers.push_back({offset, size});
    offset += size;
  }
  return layers;
}

class TreeExchangeTest : public testing::Test {
 protected:
  /// One step as in training, with the sum in the place of the updated parameters; returns them. `shared`:
  /// the exchange was made with these.
  Values step(GradientExchange& exchange, const TreeDeal& deal, const std::vector<Segment>& layers,
              const Batch& batch, SharedPieces* shared = nullptr) const {
    const std::int64_t floats = layers.back().offset + layers.back().size;
    std::vector<Values> pieces;
    for (const Range& node : deal.pieces[static_cast<std::size_t>(rank_)])
      pieces.push_back(batch.fold(node, floats));
    const auto begin_of = [&](std::size_t piece) -> const float* {
      return shared != nullptr ? shared->mine(piece) : pieces[piece].data();
    };
    if (shared != nullptr)
      for (std::size_t p = 0; p < pieces.size(); ++p) std::ranges::copy(pieces[p], shared->mine(p));
    Values parameters(static_cast<std::size_t>(floats), std::nanf(""));
    exchange.begin_step([&](Range node) { return batch.present(node); });
    for (int layer = static_cast<int>(layers.size()) - 1; layer >= 0; --layer) {
      std::vector<const float*> places;
      for (std::size_t p = 0; p < pieces.size(); ++p)
        places.push_back(pieces[p].empty() ? nullptr
                                           : begin_of(p) + layers[static_cast<std::size_t>(layer)].offset);
      exchange.send_gradient(layer, places);
      exchange.poll();
    }
    if (batch.salt % size_ == rank_)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // ranks are not in step
    for (int layer = static_cast<int>(layers.size()) - 1; layer >= 0; --layer) {
      if (batch.salt % 2 == 0)
        exchange.wait_gradient(layer);
      else
        while (!exchange.has_gradient(layer)) exchange.poll();
      const Range own = exchange.own_slice(layer);
      float* sum = parameters.data() + own.begin;
      const std::int64_t cut = own.size() / 3;  // odd stretches
      std::thread other([&] { exchange.fold(layer, cut, own.size() - cut, sum + cut); });
      exchange.fold(layer, 0, cut, sum);
      other.join();
      exchange.share_parameters(layer, parameters.data());
    }
    for (int layer = 0; layer < static_cast<int>(layers.size()); ++layer) {
      if (batch.salt % 2 == 0)
        exchange.wait_parameters(layer);
      else
        while (!exchange.has_parameters(layer)) exchange.poll();
    }
    exchange.end_step();
    return parameters;
  }

  Environment environment_{nullptr, nullptr};
  Communicator world_ = Communicator::world(environment_);
  int rank_ = world_.rank();
  int size_ = world_.size();
};

TEST_F(TreeExchangeTest, SameBitsAsOneRankForAnyShardsAndRows) {
  const std::vector<Segment> layers = segments({1, 333, 64, 1501, 5, 1100});
  const std::int64_t floats = layers.back().offset + layers.back().size;
  for (const std::int64_t leaves : {1, 2, 3, 5, 7, 8, 12, 16, 31, 32}) {
    const TreeDeal deal(leaves, size_);
    GradientExchange exchange(world_, deal, layers, 64);
    int salt = 0;
    for (const std::int64_t rows : {1000, 5, 5, 1, 1000}) {
      const Batch batch{leaves, rows, salt++};
      EXPECT_TRUE(same_bits(step(exchange, deal, layers, batch), batch.fold({0, leaves}, floats)))
          << "S " << leaves << ", rows " << rows;
    }
  }
}

/// Every rank's mark on each of its pieces, at the front and the end.
TEST_F(TreeExchangeTest, RanksOfANodeReadEachOthersPieces) {
  const std::int64_t floats = 5000;
  for (const std::int64_t leaves : {1, 7, 32}) {
    const TreeDeal deal(leaves, size_);
    SharedPieces pieces(world_, deal, floats);
    const auto mark = [](int rank, std::size_t piece) {
      return static_cast<float>(100 * rank + 1) + static_cast<float>(piece);
    };
    const auto count_of = [&](int rank) { return deal.pieces[static_cast<std::size_t>(rank)].size(); };
    for (std::size_t p = 0; p < count_of(rank_); ++p) {
      EXPECT_TRUE(
          std::all_of(pieces.mine(p), pieces.mine(p) + floats, [](float value) { return value == 0; }));
      pieces.mine(p)[0] = pieces.mine(p)[floats - 1] = mark(rank_, p);
    }
    world_.barrier();
    for (int other = 0; other < size_; ++other)
      for (std::size_t p = 0; p < count_of(other); ++p) {
        const float* const piece = pieces.of(other, p);
        ASSERT_NE(piece, nullptr) << "of rank " << other;  // all ranks of this test are on one node
        EXPECT_EQ(piece[0], mark(other, p));
        EXPECT_EQ(piece[floats - 1], mark(other, p));
      }
    world_.barrier();
    SharedPieces apart(world_, deal, floats, false);
    for (int other = 0; other < size_; ++other)
      for (std::size_t p = 0; p < count_of(other); ++p)
        EXPECT_EQ(apart.of(other, p) != nullptr, other == rank_);
  }
}

TEST_F(TreeExchangeTest, SameBitsWherePiecesAreFoldedWhereTheyLie) {
  const std::vector<Segment> layers = segments({1, 333, 64, 1501, 5, 1100});
  const std::int64_t floats = layers.back().offset + layers.back().size;
  for (const std::int64_t leaves : {1, 3, 8, 31})
    for (const bool allowed : {true, false}) {
      const TreeDeal deal(leaves, size_);
      SharedPieces pieces(world_, deal, floats, allowed);
      GradientExchange exchange(world_, deal, layers, 64, GradientExchange::kLargest, &pieces);
      GradientExchange by_messages(world_, deal, layers, 64);
      int salt = 0;
      for (const std::int64_t rows : {1000, 5, 5, 1, 1000}) {
        const Batch batch{leaves, rows, salt++};
        EXPECT_TRUE(same_bits(step(exchange, deal, layers, batch, &pieces), batch.fold({0, leaves}, floats)))
            << "S " << leaves << ", rows " << rows;
        step(by_messages, deal, layers, batch);
        EXPECT_EQ(exchange.bytes_sent(), by_messages.bytes_sent());
      }
    }
}

TEST_F(TreeExchangeTest, LongMessagesAreCutAndPutTogether) {
  const std::vector<Segment> layers = segments({700, 20, 300});
  const TreeDeal deal(5, size_);
  GradientExchange exchange(world_, deal, layers, 16, 7);
  for (int salt = 0; salt < 3; ++salt) {
    const Batch batch{5, salt == 1 ? 3 : 50, salt};
    EXPECT_TRUE(same_bits(step(exchange, deal, layers, batch), batch.fold({0, 5}, 1020)));
  }
}

TEST_F(TreeExchangeTest, ManyMoreShardsThanRanks) {
  const std::vector<Segment> layers = segments({4000});
  const TreeDeal deal(100, size_);
  GradientExchange exchange(world_, deal, layers, 4096);  // one block: one owner, all others own nothing
  const Batch batch{100, 130, 1};
  EXPECT_TRUE(same_bits(step(exchange, deal, layers, batch), batch.fold({0, 100}, 4000)));
}

TEST_F(TreeExchangeTest, AnEmptyBatchSumsToZero) {
  const std::vector<Segment> layers = segments({100});
  const TreeDeal deal(4, size_);
  GradientExchange exchange(world_, deal, layers, 16);
  EXPECT_TRUE(same_bits(step(exchange, deal, layers, Batch{4, 0, 1}), Values(100, 0.0F)));
}

TEST_F(TreeExchangeTest, SlicesCoverTheLayersAndAreEven) {
  const std::int64_t block = 256;
  const std::vector<std::int64_t> sizes = {784 * 512, 512, 512, 512 * 512, 1, 0, 5120, 10, 7, 255, 257};
  const std::vector<Segment> layers = segments(sizes);
  const GradientExchange exchange(world_, TreeDeal(4, size_), layers, block);
  std::vector<std::int64_t> blocks(static_cast<std::size_t>(size_), 0);
  for (int layer = 0; layer < static_cast<int>(layers.size()); ++layer) {
    const Segment& segment = layers[static_cast<std::size_t>(layer)];
    std::int64_t next = segment.offset;
    for (int rank = 0; rank < size_; ++rank) {
      const Range slice = exchange.slice(layer, rank);
      EXPECT_EQ(slice.begin, next);
      EXPECT_TRUE((slice.begin - segment.offset) % block == 0 || slice.size() == 0);
      blocks[static_cast<std::size_t>(rank)] += (slice.size() + block - 1) / block;
      next = slice.end;
    }
    EXPECT_EQ(next, segment.offset + segment.size);
    EXPECT_EQ(exchange.own_slice(layer), exchange.slice(layer, rank_));
  }
  const auto [fewest, most] = std::minmax_element(blocks.begin(), blocks.end());
  EXPECT_LE(*most - *fewest, 1);
}

TEST_F(TreeExchangeTest, BytesAreThoseOfAnAllReduce) {
  const std::vector<Segment> layers = segments({784 * 512 + 512, 512 * 512 + 512, 512 * 10 + 10});
  const std::int64_t floats = layers.back().offset + layers.back().size;
  const bool power_of_two = (size_ & (size_ - 1)) == 0;
  for (const std::int64_t leaves : {4, 32}) {
    const TreeDeal deal(leaves, size_);
    GradientExchange exchange(world_, deal, layers, 256);
    const Batch batch{1, 1, 3};  // the same data for each leaf: this test is about bytes
    const Values gradient = batch.leaf(0, floats);
    Values parameters(static_cast<std::size_t>(floats));
    std::int64_t of_first_step = 0;
    for (int round = 0; round < 2; ++round) {
      exchange.begin_step([](Range) { return true; });
      for (int layer = 0; layer < 3; ++layer) {
        const std::vector<const float*> places(
            deal.pieces[static_cast<std::size_t>(rank_)].size(),
            gradient.data() + layers[static_cast<std::size_t>(layer)].offset);
        exchange.send_gradient(layer, places);
        exchange.wait_gradient(layer);
        const Range own = exchange.own_slice(layer);
        exchange.fold(layer, 0, own.size(), parameters.data() + own.begin);
        exchange.share_parameters(layer, parameters.data());
      }
      exchange.end_step();
      if (round == 0) of_first_step = exchange.bytes_sent_last_step();
    }
    EXPECT_EQ(exchange.bytes_sent_last_step(), of_first_step);
    EXPECT_EQ(exchange.bytes_sent(), 2 * of_first_step);
    EXPECT_EQ(exchange.bytes_sent() == 0, size_ == 1);
    EXPECT_EQ(exchange.buffer_bytes() == 0, size_ == 1);
    std::int64_t own_floats = 0;
    for (int layer = 0; layer < 3; ++layer) own_floats += exchange.own_slice(layer).size();
    const auto pieces = static_cast<std::int64_t>(deal.pieces[static_cast<std::size_t>(rank_)].size());
    EXPECT_EQ(of_first_step, 4 * (pieces * (floats - own_floats) + (size_ - 1) * own_floats));
    const double limit = 2.0 * (size_ - 1) / size_ * 4 * static_cast<double>(floats) * 1.01;
    if (power_of_two) {
      EXPECT_LE(static_cast<double>(of_first_step), limit) << "S " << leaves;
    }
  }
}

TEST_F(TreeExchangeTest, MisuseIsAnErrorAndAnUnfinishedStepDoesNotHang) {
  const std::vector<Segment> layers = segments({100, 50});
  const TreeDeal deal(8, size_);
  const auto count = deal.pieces[static_cast<std::size_t>(rank_)].size();
  EXPECT_THROW(GradientExchange(world_, deal, layers, 0), Error);
  EXPECT_THROW(
      {
        GradientExchange exchange(world_, deal, layers, 16);
        exchange.begin_step([](Range) { return true; });
        EXPECT_THROW(exchange.begin_step([](Range) { return true; }), Error);
        EXPECT_FALSE(exchange.has_gradient(0));
        EXPECT_FALSE(exchange.has_parameters(0));
        EXPECT_THROW(exchange.wait_gradient(0), Error);
        EXPECT_THROW(exchange.wait_parameters(0), Error);
        EXPECT_THROW(exchange.fold(0, 0, 1, nullptr), Error);
        EXPECT_THROW(exchange.send_gradient(7, {}), Error);
        if (count > 0) {
          EXPECT_THROW(exchange.send_gradient(0, std::vector<const float*>(count, nullptr)), Error);
        }
        EXPECT_THROW(exchange.end_step(), Error);
        throw std::runtime_error("with receives posted that nobody will serve");
      },
      std::runtime_error);
}

TEST_F(TreeExchangeTest, ADealForOtherRanksIsRefused) {
  EXPECT_THROW(SmallFold(world_, TreeDeal(8, size_ + 1), 8), Error);
  EXPECT_THROW(GradientExchange(world_, TreeDeal(8, size_ + 1), segments({10}), 4), Error);
  EXPECT_THROW(SmallFold(world_, TreeDeal(8, size_), std::int64_t{1} << 31), Error);
  EXPECT_THROW(TreeDeal(0, size_), Error);
  EXPECT_THROW(TreeDeal(std::int64_t{1} << 40, size_), Error);
}

/// Moments of rows, as batch norm merges them.
struct Moments {
  std::int64_t count;
  double mean;
};

Moments merge(Moments a, Moments b) {
  const std::int64_t count = a.count + b.count;
  return {count, a.mean + (b.mean - a.mean) * static_cast<double>(b.count) / static_cast<double>(count)};
}

TEST_F(TreeExchangeTest, SmallSumsAreTheSameOnAllRanks) {
  for (const std::int64_t leaves : {1, 2, 3, 5, 7, 8, 12, 16, 31, 32}) {
    const TreeDeal deal(leaves, size_);
    SmallFold gather(world_, deal, sizeof(Moments));
    SmallFold other(world_, deal, sizeof(double));  // two in flight at once, finished in the other order
    for (int round = 0; round < 5; ++round) {
      const Batch batch{leaves, round % 2 == 0 ? 1000 : 5, round};
      const auto leaf = [&](Range node) -> std::optional<Moments> {
        if (!batch.present(node)) return std::nullopt;
        return Moments{node.begin + 1, batch.leaf(node.begin, 2)[1]};
      };
      const auto single = [](Range node) { return node.size() == 1; };
      std::vector<Moments> mine;
      std::vector<double> mine_of_other;
      for (const Range& node : deal.pieces[static_cast<std::size_t>(rank_)]) {
        mine.push_back(fold_tree<Moments>(node, single, leaf, merge).value_or(Moments{-1, 0}));
        mine_of_other.push_back(static_cast<double>(node.begin * 100 + round));
      }
      gather.start(mine.data());
      other.start(mine_of_other.data());
      mine.assign(mine.size(), {-7, -7});  // copied: may change at once
      const auto* other_all = reinterpret_cast<const double*>(other.finish());
      const auto* all = reinterpret_cast<const Moments*>(gather.finish());
      const auto gathered = [&](Range node) -> std::optional<Moments> {
        if (!batch.present(node)) return std::nullopt;
        EXPECT_EQ(other_all[gather.index_of(node)], static_cast<double>(node.begin * 100 + round));
        return all[gather.index_of(node)];
      };
      const auto is_piece = [&](Range node) { return gather.index_of(node) >= 0; };
      const auto folded = fold_tree<Moments>({0, leaves}, is_piece, gathered, merge);
      const auto expected = fold_tree<Moments>({0, leaves}, single, leaf, merge);
      ASSERT_TRUE(folded && expected);
      EXPECT_EQ(folded->count, expected->count);
      EXPECT_EQ(std::memcmp(&folded->mean, &expected->mean, sizeof(double)), 0);
    }
    const auto pieces = static_cast<std::int64_t>(deal.pieces[static_cast<std::size_t>(rank_)].size());
    EXPECT_EQ(gather.bytes_sent(), 5 * pieces * static_cast<std::int64_t>(sizeof(Moments)) * (size_ - 1));
  }
}

}  // namespace
}  // namespace trainer::comm
