// The weight gradient's own kernel against plain loops.
#include "weight_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "rounded.h"
#include "trainer/core/random.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::nn {
namespace {

struct Shape {
  std::int64_t inputs, outputs, rows, shards;
  Range piece;  ///< of the shards
  bool bias = true;
};

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.inputs << " x " << shape.outputs << ", " << shape.rows << " rows in " << shape.shards
       << " shards, piece [" << shape.piece.begin << ", " << shape.piece.end << ")";
}

/// A piece's rows, packed, and what is expected of their gradient: [inputs and the bias][outputs].
class Case {
 public:
  /// `portion`: of the rows of a shard that are packed at a time.
  explicit Case(const Shape& shape, Precision precision = Precision::f32, std::int64_t portion = 5)
      : shape_(shape), precision_(precision), first_(cut(shape.rows, shape.shards, shape.piece.begin).begin) {
    const std::int64_t rows = cut(shape.rows, shape.shards, shape.piece.end - 1).end - first_;
    capacity_ = rows + 3;
    x_ = random_floats(rows * shape.inputs, 1);
    dy_ = random_floats(rows * shape.outputs, 2);
    packed_.assign(static_cast<std::size_t>(kernel().packed_floats(capacity_)), NAN);
    for (std::int64_t s = shape.piece.begin; s < shape.piece.end; ++s) {
      const Range shard = rows_of(s);
      for (std::int64_t r = shard.begin; r < shard.end; r += portion)
        kernel().pack(x_.data(), dy_.data(), {r, std::min(shard.end, r + portion)}, shard, capacity_,
                      packed_.data());
    }
    leaves_ = leaves_of(shape.piece, [this](std::int64_t s) { return rows_of(s); });
  }

  WeightGradient kernel() const { return {shape_.inputs, shape_.outputs, shape_.bias, precision_}; }
  bool empty() const { return leaves_.empty(); }
  std::int64_t input_rows() const { return shape_.inputs + (shape_.bias ? 1 : 0); }

  /// In tiles of some blocks x some panels; what the kernel must not touch is left as nan.
  std::vector<float> folded(std::int64_t blocks_of_tile, std::int64_t panels_of_tile) const {
    const std::int64_t stride = shape_.outputs + 5,
                       outputs_of_tile = panels_of_tile * kernel().block().outputs;
    std::vector<float> gradient(static_cast<std::size_t>(input_rows() * stride), NAN);
    std::vector<float> aside(
        static_cast<std::size_t>(most_set_aside(leaves_) * WeightGradient::kBlockFloats));
    for (std::int64_t b = 0; b < kernel().blocks(); b += blocks_of_tile)
      for (std::int64_t o = 0; o < shape_.outputs; o += outputs_of_tile)
        kernel().fold(packed_.data(), capacity_, leaves_,
                      {b, std::min(kernel().blocks(), b + blocks_of_tile)},
                      {o, std::min(shape_.outputs, o + outputs_of_tile)}, aside.data(),
                      {.weights = gradient.data() + b * kernel().block().inputs * stride + o,
                       .stride = stride,
                       .next_vector = kernel().block().lanes,
                       .bias = shape_.bias ? gradient.data() + shape_.inputs * stride + o : nullptr});
    std::vector<float> result;
    for (std::int64_t i = 0; i < input_rows(); ++i)
      for (std::int64_t o = 0; o < stride; ++o) {
        const float value = gradient[static_cast<std::size_t>(i * stride + o)];
        if (o < shape_.outputs)
          result.push_back(value);
        else
          EXPECT_TRUE(std::isnan(value)) << "wrote past the outputs of input " << i;
      }
    return result;
  }

  /// By std::fma in the order of the tree.
  std::vector<float> expected() const {
    std::vector<float> result;
    for (std::int64_t i = 0; i < input_rows(); ++i)
      for (std::int64_t o = 0; o < shape_.outputs; ++o)
        result.push_back(*fold_tree<float>(
            shape_.piece, [](Range) { return false; },
            [&](Range node) { return shard_sum(node.begin, i, o); },
            [](float left, float right) { return left + right; }));
    return result;
  }

  /// The sum, and the sum of the absolute products.
  struct Exact {
    double sum = 0, scale = 0;
  };
  Exact exact(std::int64_t i, std::int64_t o) const {
    Exact exact;
    for (std::int64_t r = 0; r < rows(); ++r) {
      const double product = factor(x(r, i)) * factor(dy(r, o));
      exact.sum += product;
      exact.scale += std::abs(product);
    }
    return exact;
  }
  std::int64_t rows() const { return std::ssize(x_) / shape_.inputs; }

 private:
  static std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
    RandomStream stream(RandomKey(seed, Purpose::self_test), 0);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = 2 * stream.uniform_float() - 1;
    return values;
  }
  Range rows_of(std::int64_t shard) const {
    const Range rows = cut(shape_.rows, shape_.shards, shard);
    return {rows.begin - first_, rows.end - first_};
  }
  double factor(float value) const {
    return static_cast<double>(precision_ == Precision::bf16 ? rounded(value) : value);
  }
  float x(std::int64_t r, std::int64_t i) const {
    return i == shape_.inputs ? 1.0f : x_[static_cast<std::size_t>(r * shape_.inputs + i)];
  }
  float dy(std::int64_t r, std::int64_t o) const {
    return dy_[static_cast<std::size_t>(r * shape_.outputs + o)];
  }
  std::optional<float> shard_sum(std::int64_t shard, std::int64_t i, std::int64_t o) const {
    const Range rows = rows_of(shard);
    if (rows.size() == 0) return std::nullopt;
    float sum = 0;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) sum = std::fma(x(r, i), dy(r, o), sum);
    return sum;
  }

  Shape shape_;
  Precision precision_;
  std::int64_t first_, capacity_;
  std::vector<float> x_, dy_, packed_;
  std::vector<Leaf> leaves_;
};

class Kernel : public testing::TestWithParam<Shape> {};

TEST_P(Kernel, HasTheBitsOfTheTreeInAnyTiles) {
  if (!WeightGradient::possible()) GTEST_SKIP() << "neither AVX-512 nor AVX2 here";
  const Case test(GetParam());
  ASSERT_FALSE(test.empty());
  const std::vector<float> expected = test.expected();
  for (const std::int64_t blocks : {1, 2, 100})
    for (const std::int64_t panels : {1, 2, 100}) {
      const std::vector<float> folded = test.folded(blocks, panels);
      ASSERT_EQ(folded.size(), expected.size());
      EXPECT_EQ(std::memcmp(folded.data(), expected.data(), folded.size() * sizeof(float)), 0)
          << "tiles of " << blocks << " blocks x " << panels << " panels";
    }
}

TEST_P(Kernel, IsAProduct) {
  if (!WeightGradient::possible()) GTEST_SKIP() << "neither AVX-512 nor AVX2 here";
  const Case test(GetParam());
  const std::vector<float> folded = test.folded(3, 2);
  for (std::int64_t i = 0; i < test.input_rows(); ++i)
    for (std::int64_t o = 0; o < GetParam().outputs; ++o)
      ASSERT_NEAR(folded[static_cast<std::size_t>(i * GetParam().outputs + o)], test.exact(i, o).sum, 1e-4)
          << i << ", " << o;
}

TEST_P(Kernel, IsAProductOfRoundedFactorsInBf16) {
  if (!has_bf16()) GTEST_SKIP() << "no bf16 here";
  const Case test(GetParam(), Precision::bf16);
  const std::vector<float> folded = test.folded(3, 2);
  for (std::int64_t i = 0; i < test.input_rows(); ++i)
    for (std::int64_t o = 0; o < GetParam().outputs; ++o) {
      const auto [sum, scale] = test.exact(i, o);
      // Every addition rounds once, and a product of two factors not at all.
      const double tolerance = static_cast<double>(test.rows() + 1) * 0x1p-23 * scale;
      const double found = static_cast<double>(folded[static_cast<std::size_t>(i * GetParam().outputs + o)]);
      ASSERT_TRUE(std::abs(found - sum) <= tolerance)
          << found << " is not " << sum << " at " << i << ", " << o;
    }
}

TEST_P(Kernel, HasTheSameBitsInAnyTilesAndPortionsInBf16) {
  if (!has_bf16()) GTEST_SKIP() << "no bf16 here";
  const std::vector<float> expected = Case(GetParam(), Precision::bf16, 1000).folded(100, 100);
  for (const std::int64_t portion : {1, 4, 7}) {
    const std::vector<float> folded = Case(GetParam(), Precision::bf16, portion).folded(portion, 1);
    ASSERT_EQ(folded.size(), expected.size());
    EXPECT_EQ(std::memcmp(folded.data(), expected.data(), folded.size() * sizeof(float)), 0) << portion;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Kernel,
                         testing::Values(Shape{1, 1, 1, 1, {0, 1}}, Shape{1, 1, 1, 1, {0, 1}, false},
                                         Shape{37, 10, 100, 4, {0, 4}}, Shape{37, 1, 61, 8, {0, 8}},
                                         Shape{12, 16, 64, 2, {0, 2}}, Shape{12, 16, 64, 2, {0, 2}, false},
                                         Shape{11, 17, 45, 5, {0, 5}}, Shape{13, 32, 45, 13, {0, 13}},
                                         Shape{24, 64, 90, 16, {0, 16}}, Shape{300, 100, 40, 7, {0, 7}},
                                         Shape{50, 33, 5, 16, {0, 16}}, Shape{50, 49, 7, 32, {8, 16}},
                                         Shape{50, 47, 200, 32, {16, 32}}, Shape{23, 65, 77, 11, {8, 11}},
                                         Shape{35, 96, 33, 3, {2, 3}}, Shape{5, 31, 900, 1, {0, 1}}));

TEST(LeavesOf, LeaveOutShardsWithoutRows) {
  const auto rows_of = [](std::int64_t s) { return cut(3, 8, s); };  // shards 2, 5 and 7 have a row
  const auto leaves = leaves_of({0, 8}, rows_of);
  ASSERT_EQ(leaves.size(), 3u);
  EXPECT_EQ(leaves[0].rows, (Range{0, 1}));
  EXPECT_EQ(leaves[0].folds, 0);
  EXPECT_EQ(leaves[1].folds, 0);
  EXPECT_EQ(leaves[2].folds, 2);
  EXPECT_EQ(most_set_aside(leaves), 2);
  EXPECT_TRUE(leaves_of({0, 2}, rows_of).empty());
  EXPECT_EQ(most_set_aside(leaves_of({0, 2}, rows_of)), 0);
}

TEST(LeavesOf, NeverSetAsideMoreThanTheDepthOfTheTree) {
  for (std::int64_t shards = 1; shards <= 40; ++shards) {
    std::int64_t depth = 1;
    while ((std::int64_t{1} << depth) <= shards) ++depth;
    for (const std::int64_t rows : {1, 7, 40, 100}) {
      const auto leaves = leaves_of({0, shards}, [&](std::int64_t s) { return cut(rows, shards, s); });
      int folds = 0;
      for (const Leaf& leaf : leaves) folds += leaf.folds;
      EXPECT_EQ(folds + 1, std::ssize(leaves));
      EXPECT_LE(most_set_aside(leaves), depth) << shards << " shards, " << rows << " rows";
    }
  }
}

}  // namespace
}  // namespace trainer::nn
