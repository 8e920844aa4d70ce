// Products in bf16: rounding, layouts, the product and what of a network is computed by it.
#include "bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "batch_source.h"
#include "message_of.h"
#include "onednn.h"
#include "random_values.h"
#include "rounded.h"
#include "simulated_job.h"
#include "trainer/core/random.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;
using simulation::SimulatedJob;

std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  RandomStream stream(RandomKey(seed, Purpose::self_test), 0);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = 2 * stream.uniform_float() - 1;
  return values;
}

float widened(Bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

class InBf16 : public testing::Test {
  void SetUp() override {
    if (!has_bf16()) GTEST_SKIP() << "no bf16 here";
  }
};

TEST_F(InBf16, RowsAreRoundedToNearestEvenAndPadded) {
  const float infinity = std::numeric_limits<float>::infinity();
  // 1 + 1/256 lies between two numbers, 1 + 3/256 too: to the even one.
  std::vector<float> x = {1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -1.0f - 0x1p-8f, 1.0f + 0x1p-8f + 0x1p-20f,
                          infinity,       -infinity,      3.4e38f,         0.0f};
  const std::vector<float> expected = {1.0f,     1.0f + 0x1p-6f, -1.0f,    1.0f + 0x1p-7f,
                                       infinity, -infinity,      infinity, 0.0f};
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(rounded(x[i]), expected[i]) << i;
  for (const std::int64_t width : {1, 8, 15, 16, 17, 31, 33, 48}) {
    const std::int64_t rows = 3, depth = padded_depth(width);
    std::vector<float> values = random_floats(rows * width, 3);
    std::copy_n(x.begin(), std::min<std::int64_t>(8, width), values.begin());
    std::vector<Bf16> to(static_cast<std::size_t>(rows * depth + 1), 77);
    round_rows(values.data(), rows, width, to.data());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < depth; ++c)
        ASSERT_EQ(widened(to[static_cast<std::size_t>(r * depth + c)]),
                  c < width ? rounded(values[static_cast<std::size_t>(r * width + c)]) : 0.0f)
            << width << ": " << r << ", " << c;
    EXPECT_EQ(to.back(), 77);
  }
  const float nan = std::nanf("");
  Bf16 one_row[16];
  round_rows(&nan, 1, 1, one_row);
  EXPECT_TRUE(std::isnan(widened(one_row[0])));
}

struct Layer {
  std::int64_t inputs, outputs, panel;
};

class Bf16Layers : public testing::TestWithParam<Layer> {
 protected:
  void SetUp() override {
    if (!has_bf16()) GTEST_SKIP() << "no bf16 here";
    weights_ = random_floats(layer_.inputs * layer_.outputs, 1);
  }
  float weight(std::int64_t i, std::int64_t o) const {
    return weights_[static_cast<std::size_t>((o / layer_.panel * layer_.inputs + i) * layer_.panel +
                                             o % layer_.panel)];
  }
  /// A matrix in bf16, made panel by panel from nonsense.
  template <class Round>
  std::vector<Bf16> matrix_of(const Bf16Matrix& matrix, const Round& round) const {
    std::vector<Bf16> numbers(static_cast<std::size_t>(matrix.size()), 77);
    for (std::int64_t p = 0; p < matrix.panels(); ++p)
      round(weights_.data(), WeightPlace{layer_.inputs, layer_.outputs, layer_.panel}, matrix, p,
            numbers.data());
    return numbers;
  }
  static float element(const std::vector<Bf16>& numbers, const Bf16Matrix& matrix, std::int64_t depth,
                       std::int64_t column) {
    return widened(numbers[static_cast<std::size_t>(column / matrix.panel * matrix.panel_size() +
                                                    (depth / 2 * matrix.panel + column % matrix.panel) * 2 +
                                                    depth % 2)]);
  }
  const Layer layer_ = GetParam();
  std::vector<float> weights_;
};

TEST_P(Bf16Layers, HaveTheirWeightsRoundedBothWays) {
  const auto [inputs, outputs, source_panel] = layer_;
  for (const std::int64_t panel : {16, 32, 64}) {
    const Bf16Matrix forward{inputs, outputs, panel}, backward{outputs, inputs, panel};
    const auto there = matrix_of(forward, round_transposed_weights);
    for (std::int64_t d = 0; d < padded_depth(inputs); ++d)
      for (std::int64_t c = 0; c < forward.panels() * panel; ++c)
        ASSERT_EQ(element(there, forward, d, c), d < inputs && c < outputs ? rounded(weight(d, c)) : 0.0f)
            << d << ", " << c;
    const auto back = matrix_of(backward, round_weights);
    for (std::int64_t d = 0; d < padded_depth(outputs); ++d)
      for (std::int64_t c = 0; c < backward.panels() * panel; ++c)
        ASSERT_EQ(element(back, backward, d, c), d < outputs && c < inputs ? rounded(weight(c, d)) : 0.0f)
            << d << ", " << c;
  }
}

TEST_P(Bf16Layers, MultiplyRowsWhoseBitsDependOnNoOther) {
  const auto [inputs, outputs, source_panel] = layer_;
  constexpr std::int64_t kRows = 128;
  KernelFactory factory(1);
  const Bf16Matrix matrix{inputs, outputs, factory.preferred_bf16_panel(inputs, outputs)};
  auto weights = matrix_of(matrix, round_transposed_weights);
  const auto x = random_floats(kRows * inputs, 2);
  auto bias = random_floats(outputs, 3);
  std::vector<Bf16> rows(static_cast<std::size_t>(kRows * padded_depth(inputs)));
  round_rows(x.data(), kRows, inputs, rows.data());
  std::vector<float> all(static_cast<std::size_t>(kRows * outputs));
  factory.bf16_product(kRows, matrix, true)(0, {rows.data(), weights.data(), bias.data(), all.data()});
  for (std::int64_t r = 0; r < kRows; ++r)
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = static_cast<double>(bias[static_cast<std::size_t>(o)]), scale = std::abs(sum);
      for (std::int64_t i = 0; i < inputs; ++i) {
        const double product = static_cast<double>(rounded(x[static_cast<std::size_t>(r * inputs + i)])) *
                               static_cast<double>(rounded(weight(i, o)));
        sum += product;
        scale += std::abs(product);
      }
      const double tolerance = static_cast<double>(inputs + 1) * 0x1p-23 * scale;
      const double found = static_cast<double>(all[static_cast<std::size_t>(r * outputs + o)]);
      ASSERT_TRUE(std::abs(found - sum) <= tolerance)
          << found << " is not " << sum << " at " << r << ", " << o;
    }
  for (const std::int64_t count : {1, 2, 3, 5, 7, 16, 31, 64, 100, 127}) {
    const std::int64_t first = kRows - count;
    std::vector<float> some(static_cast<std::size_t>(count * outputs));
    factory.bf16_product(count, matrix, true)(
        0, {rows.data() + first * padded_depth(inputs), weights.data(), bias.data(), some.data()});
    EXPECT_EQ(std::memcmp(some.data(), all.data() + first * outputs, some.size() * sizeof(float)), 0)
        << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Bf16Layers,
                         testing::Values(Layer{1, 1, 1}, Layer{13, 10, 10}, Layer{33, 17, 17},
                                         Layer{40, 33, 33}, Layer{7, 63, 63}, Layer{64, 64, 64},
                                         Layer{48, 192, 64}, Layer{300, 100, 100}, Layer{784, 128, 64},
                                         Layer{128, 784, 784}));

/// |a - b| / |b|.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, whole = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    whole += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / whole);
}

TEST_F(InBf16, GradientsAreNearThoseInF32) {
  // No relu: a unit that is 0 in one and not in the other makes a difference of another kind.
  JobSetup setup{.model = "dense(100) tanh dense(70) sigmoid dense(outputs)",
                 .inputs = 37,
                 .outputs = 5,
                 .shards = 6,
                 .batches = {131}};
  const auto batch = random_batch(131, setup, 4);
  const auto step = [&](Precision precision) {
    setup.precision = precision;
    SimulatedJob job(setup);
    const Values values = random_values(job.network(), 5);
    return job.step(batch, 1, 0, values.parameters, values.statistics);
  };
  const auto in_f32 = step(Precision::f32), in_bf16 = step(Precision::bf16);
  // Factors are off by at most 2^-9 of them; 8 products follow one another, each with two factors.
  const double difference = relative_difference(in_bf16.gradient, in_f32.gradient);
  EXPECT_TRUE(difference <= 16 * 0x1p-9) << difference;
  EXPECT_GT(difference, 0x1p-12);
  EXPECT_NEAR(in_bf16.sums.loss / in_f32.sums.loss, 1, 16 * 0x1p-9);
}

TEST_F(InBf16, InferenceStaysInF32) {
  const JobSetup setup{
      .model = "dense(100) batch_norm tanh dense(outputs)", .inputs = 37, .outputs = 5, .batches = {50}};
  const auto batch = random_batch(50, setup, 4);
  const BatchSource source(batch, {0, 50});
  std::vector<std::vector<float>> outputs;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Network network(joined_model(setup), 1, {.precision = precision});
    const Values values = random_values(network, 5);
    const std::int64_t sizes[] = {50};
    InferencePass pass(network, Loss::parse(setup.loss), setup.form, 1, sizes);
    pass.set(values.parameters.data(), values.statistics.data());
    pass.run(source, {0, 50}, 0, outputs.emplace_back(250).data());
  }
  EXPECT_EQ(std::memcmp(outputs[0].data(), outputs[1].data(), 250 * sizeof(float)), 0);
}

TEST_F(InBf16, PopulationStatisticsStayInF32AmongSteps) {
  const JobSetup setup{.model = "dense(100) batch_norm tanh dense(20) batch_norm dense(outputs)",
                       .inputs = 37,
                       .outputs = 5,
                       .batches = {50}};
  const auto batch = random_batch(50, setup, 4);
  const BatchSource source(batch, {0, 50});
  const Team team(2);
  std::vector<std::vector<float>> statistics;
  std::vector<LossSums> losses;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Network network(joined_model(setup), 2, {.precision = precision});
    const Values values = random_values(network, 5);
    simulation::ThreadFold fold(1, {{{0, 1}}});
    fold.set_batch(50);
    const std::int64_t sizes[] = {50};
    TrainingPass pass(network, Loss::parse(setup.loss), setup.form, team, {1, {0, 1}, {{0, 1}}}, sizes,
                      fold.of(0), sizes);
    auto& found = statistics.emplace_back(values.statistics);
    auto step = found;
    const auto loss = [&] {
      return pass.forward(source, 50, 1, 1, values.parameters.data(), step.data())[0];
    };
    losses.push_back(loss());
    Population population;
    pass.measure(source, 50, values.parameters.data(), population);
    population.store(network, found.data());
    EXPECT_EQ(loss().loss, losses.back().loss);  // in bf16 again
  }
  EXPECT_EQ(statistics[0], statistics[1]);
  EXPECT_NE(losses[0].loss, losses[1].loss);
}

TEST(PrecisionText, IsRefusedWhereBf16WouldBeEmulated) {
  EXPECT_EQ(parse_precision("f32"), Precision::f32);
  expect_usage_error([] { parse_precision("f16"); }, "--precision f16: expected f32 or bf16");
  if (has_bf16()) {
    EXPECT_EQ(parse_precision("bf16"), Precision::bf16);
    return;
  }
  expect_usage_error([] { parse_precision("bf16"); }, "avx512_bf16");
  expect_usage_error([] { parse_precision("bf16"); }, "take --precision f32");
  expect_usage_error([] { parse_precision("bf16"); }, onednn_isa());
}

}  // namespace
}  // namespace trainer::nn
