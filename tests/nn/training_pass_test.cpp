// Forward, loss and backward of chosen nets against the reference: every layer, and the places where buffers
// are shared.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <tuple>

#include "against_reference.h"
#include "batch_source.h"
#include "random_values.h"
#include "thread_fold.h"

namespace trainer::nn {
namespace {

using simulation::JobSetup;

struct Case {
  const char* name;
  JobSetup setup;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<std::int64_t> kBatches = {37, 37, 20, 3};

JobSetup classify(const std::string& model, std::int64_t inputs = 7, std::int64_t outputs = 5) {
  return {
      .model = model, .inputs = inputs, .outputs = outputs, .shards = 5, .batches = kBatches, .threads = 2};
}

/// Wide nets take their time in the reference.
JobSetup small(JobSetup setup) {
  setup.batches = {8, 7};
  return setup;
}

JobSetup with_loss(const std::string& loss, JobSetup setup) {
  setup.loss = loss;
  return setup;
}

JobSetup weighted(JobSetup setup) {
  setup.weighted = true;
  return setup;
}

JobSetup regress(const std::string& model, const std::string& loss = "mse", std::int64_t outputs = 3) {
  return {.model = model,
          .loss = loss,
          .inputs = 6,
          .outputs = outputs,
          .form = TargetForm::values,
          .shards = 4,
          .batches = kBatches,
          .threads = 2};
}

class Nets : public testing::TestWithParam<Case> {};

TEST_P(Nets, AgreeWithTheReference) { expect_the_reference(GetParam().setup, 11); }

TEST_P(Nets, AgreeWithTheReferenceOnThreeRanks) {
  JobSetup setup = GetParam().setup;
  setup.ranks = 3;
  expect_the_reference(setup, 12);
}

INSTANTIATE_TEST_SUITE_P(
    Layers, Nets,
    testing::Values(
        Case{"Dense", classify("dense(outputs)")},
        Case{"DenseWithoutBias", classify("dense(9, bias=false) relu dense(outputs, bias=no)")},
        Case{"WidthsOfOne", classify("dense(1) tanh dense(1) dense(outputs)", 1)},
        Case{"Panels", classify("dense(128) relu dense(192) relu dense(64) relu dense(outputs)", 32, 10)},
        Case{"PanelsWithManyTiles",
             small(classify("dense(320) relu dense(576) tanh dense(outputs)", 272, 3))},
        Case{"OddTiles", small(classify("dense(259) relu dense(outputs)", 261, 3))},
        Case{"Activations",
             classify("dense(8) relu dense(9) sigmoid dense(10) tanh dense(11) softmax dense(outputs)")},
        Case{"BatchNorm", classify("dense(9) batch_norm relu dense(outputs)")},
        Case{"BatchNormOfShards", classify("dense(9) batch_norm(statistics=shard) relu dense(outputs)")},
        Case{"BatchNormOfInput", classify("batch_norm dense(outputs)")},
        Case{"BatchNormOfInputAlone", regress("batch_norm", "mse", 6)},
        Case{"BatchNormAtTheEnd", classify("dense(outputs) batch_norm")},
        Case{"BatchNormTwice",
             classify("dense(9) batch_norm batch_norm(momentum=0.3, epsilon=0.01) tanh dense(outputs)")},
        Case{"BatchNormWide",
             classify("dense(130) batch_norm relu dense(outputs) batch_norm(statistics=shard)")},
        Case{"Dropout", classify("dense(40) relu dropout(0.5) dense(outputs)")},
        Case{"DropoutOfInput", classify("dropout(0.3) dense(8) dropout(0) dense(outputs)")},
        Case{"DropoutOverManyBlocks", small(classify("dense(1100) dropout(0.2) dense(outputs)", 3, 2))},
        Case{"Residual", classify("dense(6) residual(relu dense(6)) dense(outputs)")},
        Case{"ResidualOfInput", classify("residual(dense(7) relu) dense(outputs)")},
        Case{"ResidualWithProjection",
             classify("dense(6) residual(dense(9) tanh dense(8)) relu dense(outputs)")},
        Case{"ResidualAlwaysProjected",
             classify("residual(dense(7) relu, projection=always) dense(outputs)")},
        Case{"NestedResidual", classify("dense(6) residual(relu residual(dense(6) residual(tanh)) dense(8)) "
                                        "batch_norm dense(outputs)")},
        Case{"ResidualWithBatchNorm", classify("dense(6) residual(batch_norm relu dense(9) batch_norm relu "
                                               "dense(6)) batch_norm relu dense(outputs)")},
        Case{"ResidualAtTheEnd", classify("dense(outputs) residual(dense(outputs) batch_norm relu)")},
        Case{"LayerNorm", classify("dense(9) layer_norm relu dense(outputs)")},
        Case{"LayerNormOfInput", classify("layer_norm dense(outputs)")},
        Case{"LayerNormAlone", regress("layer_norm", "mse", 6)},
        Case{"LayerNormAtTheEnd", classify("dense(outputs) layer_norm(epsilon=0.1)")},
        Case{"LayerNormTwice", classify("dense(9) layer_norm layer_norm tanh dense(outputs)")},
        Case{"LayerNormWide", classify("dense(300) layer_norm relu dense(outputs)")},
        Case{"LayerNormOfOneUnit", regress("dense(1) layer_norm dense(outputs)")},
        Case{"Noise", classify("dense(40) noise(0.3) relu noise(0.1) dense(outputs)")},
        Case{"NoiseOfInput", classify("noise(0.5) dense(8) tanh noise(0.2) dense(outputs)")},
        Case{"NoiseOverManyBlocks", small(classify("dense(1101) noise(0.2) dense(outputs)", 3, 2))},
        Case{"LeakyRelu", classify("dense(9) leaky_relu dense(9) leaky_relu(0.3) dense(outputs)")},
        Case{"Elu", classify("dense(9) elu dense(9) elu(alpha=0.4) dense(outputs)")},
        Case{"Gelu", classify("dense(9) gelu dense(9) gelu dense(outputs)")},
        Case{"Silu", classify("dense(9) silu dense(9) silu dense(outputs)")},
        Case{"Softplus", classify("dense(9) softplus dense(9) softplus dense(outputs)")},
        Case{"SmoothRectifiersOfInput", classify("gelu silu softplus elu leaky_relu dense(outputs)")},
        Case{"RepeatInResidualInRepeat",
             classify(
                 "repeat(2, dense(6) residual(repeat(2, relu dense(6) residual(repeat(2, tanh dense(6)))))) "
                 "dense(outputs)")},
        Case{"ResidualInResidualWithProjections",
             classify("residual(dense(5) residual(dense(8) elu residual(dense(3) gelu)) layer_norm dense(4)) "
                      "dense(outputs)")},
        Case{"PreNormResiduals", classify("dense(12) repeat(3, residual(layer_norm dense(24) gelu noise(0.1) "
                                          "dropout(0.1) dense(12))) layer_norm dense(outputs)")},
        Case{"Repeat", classify("repeat(3, dense(6) residual(relu dense(6))) dense(outputs)")}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    SharedBuffers, Nets,
    testing::Values(
        Case{"ReluThenSigmoid", classify("dense(8) relu sigmoid dense(outputs)")},
        Case{"ReluTwice", classify("dense(8) relu relu dense(outputs)")},
        Case{"SigmoidThenRelu", classify("dense(8) sigmoid relu tanh dense(outputs)")},
        Case{"ReluDropoutSigmoid",
             classify("dense(30) relu dropout(0.4) sigmoid dropout(0.2) tanh dense(outputs)")},
        Case{"SigmoidDropoutRelu",
             classify("dense(30) sigmoid dropout(0.4) relu dropout(0.1) dropout(0.1) dense(outputs)")},
        Case{"ActivationsOfInput", classify("relu sigmoid dropout(0.1) dense(outputs)")},
        Case{"SoftmaxAfterRelu", classify("dense(8) relu softmax relu dense(outputs)")},
        Case{"ResidualOfRelu", classify("dense(9) relu residual(relu dropout(0.2) dense(9)) dense(outputs)")},
        Case{"ResidualOfDropout", classify("dense(20) residual(dropout(0.3)) dense(outputs)")},
        Case{"ResidualOfDropoutOfInput", classify("residual(dropout(0.3)) dense(outputs)")},
        Case{"ResidualOfSigmoid", classify("dense(9) sigmoid residual(sigmoid tanh) relu dense(outputs)")},
        Case{"ResidualInResidualOfInput",
             classify("residual(residual(relu)) residual(residual(tanh dense(7))) dense(outputs)")},
        Case{"BatchNormAfterRelu",
             classify("dense(9) relu batch_norm sigmoid batch_norm dropout(0.3) dense(outputs)")},
        Case{"LeakyReluDropoutRelu",
             classify("dense(9) leaky_relu(0.2) dropout(0.3) relu leaky_relu dense(outputs)")},
        Case{"ReluNoiseRelu", classify("dense(9) relu noise(0.5) relu noise(0.2) noise(0.1) dense(outputs)")},
        Case{"SigmoidNoiseTanh",
             classify("dense(9) sigmoid noise(0.5) tanh noise(0.1) softmax dense(outputs)")},
        Case{"ReluThenSmoothRectifiers",
             classify("dense(9) relu gelu relu silu relu softplus relu elu relu dense(outputs)")},
        Case{"SmoothRectifiersThenDropout",
             classify(
                 "dense(9) gelu dropout(0.2) silu dropout(0.2) softplus dropout(0.2) elu dropout(0.2) tanh "
                 "dense(outputs)")},
        Case{"LayerNormAfterRelu",
             classify("dense(9) relu layer_norm relu layer_norm sigmoid layer_norm dense(outputs)")},
        Case{"LayerNormAroundBatchNorm",
             classify("dense(9) layer_norm batch_norm relu layer_norm batch_norm layer_norm dense(outputs)")},
        Case{"ResidualOfNoise",
             classify("dense(9) residual(noise(0.3)) residual(noise(0.1) relu) dense(outputs)")},
        Case{"ResidualOfNoiseOfInput", classify("residual(noise(0.3)) dense(outputs)")},
        Case{"ResidualOfLayerNorm",
             classify("dense(9) residual(layer_norm) relu residual(layer_norm relu) dense(outputs)")},
        Case{"ResidualOfGelu",
             classify("dense(9) gelu residual(gelu) residual(silu softplus) dense(outputs)")},
        Case{"SoftmaxInTheMiddle", regress("dense(8) softmax dense(outputs)")},
        Case{"SoftmaxAtTheEnd", regress("dense(outputs) softmax")}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Losses, Nets,
    testing::Values(
        Case{"SoftmaxCrossEntropyWithSmoothing",
             [] {
               JobSetup setup = classify("dense(12) tanh dense(outputs) softmax");
               setup.loss = "softmax_cross_entropy(label_smoothing=0.1)";
               return setup;
             }()},
        Case{"SoftmaxCrossEntropyOfDistributions",
             regress("dense(12) tanh dense(outputs)", "softmax_cross_entropy", 4)},
        Case{"SmoothedDistributions",
             regress("dense(12) tanh dense(outputs)", "softmax_cross_entropy(label_smoothing=0.2)", 4)},
        Case{"BinaryCrossEntropyOfOneLabel",
             [] {
               JobSetup setup = classify("dense(12) tanh dense(outputs) sigmoid", 7, 1);
               setup.loss = "binary_cross_entropy";
               return setup;
             }()},
        Case{"BinaryCrossEntropyOfClasses",
             [] {
               JobSetup setup = classify("dense(12) tanh dense(outputs)");
               setup.loss = "binary_cross_entropy(outputs=sum)";
               return setup;
             }()},
        Case{"BinaryCrossEntropyOfValues",
             regress("dense(12) relu dense(outputs) sigmoid", "binary_cross_entropy", 4)},
        Case{"MseOfClasses",
             [] {
               JobSetup setup = classify("dense(12) tanh dense(outputs) sigmoid");
               setup.loss = "mse";
               return setup;
             }()},
        Case{"MseOfOneLabel",
             [] {
               JobSetup setup = classify("dense(12) tanh dense(outputs) sigmoid", 7, 1);
               setup.loss = "mse";
               return setup;
             }()},
        Case{"Mse", regress("dense(12) tanh dense(outputs)")},
        Case{"MseOfOneOutput", regress("dense(12) tanh dense(outputs)", "mse", 1)},
        Case{"MseSummed", regress("dense(12) relu dense(outputs) tanh", "mse(outputs=sum)")},
        Case{"HalfSquaredError", regress("dense(12) relu dense(outputs)", "half_squared_error")},
        Case{"Mae", regress("dense(12) relu dense(outputs)", "mae")},
        Case{"MaeSummed", regress("dense(12) relu dense(outputs)", "mae(outputs=sum)")},
        Case{"MaeOfClasses", with_loss("mae", classify("dense(12) tanh dense(outputs) softmax"))},
        Case{"Huber", regress("dense(12) relu dense(outputs)", "huber")},
        Case{"HuberSummed", regress("dense(12) relu dense(outputs)", "huber(0.3, outputs=sum)")},
        Case{"HuberOfOneLabel",
             with_loss("huber(delta=0.2)", classify("dense(12) tanh dense(outputs)", 7, 1))},
        Case{"KlDivergence", regress("dense(12) tanh dense(outputs) softmax", "kl_divergence", 4)},
        Case{"KlDivergenceOfClasses", with_loss("kl_divergence", classify("dense(12) tanh dense(outputs)"))}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    WeightedRows, Nets,
    testing::Values(
        Case{"SoftmaxCrossEntropy", weighted(classify("dense(12) batch_norm relu dense(outputs)"))},
        Case{"Smoothed",
             weighted(with_loss("softmax_cross_entropy(0.1)", classify("dense(12) relu dense(outputs)")))},
        Case{"Distributions", weighted(regress("dense(12) relu dense(outputs)", "softmax_cross_entropy", 4))},
        Case{"KlDivergence", weighted(regress("dense(12) relu dense(outputs)", "kl_divergence", 4))},
        Case{"BinaryCrossEntropy",
             weighted(with_loss("binary_cross_entropy", classify("dense(12) relu dense(outputs)", 7, 1)))},
        Case{"Mse", weighted(regress("dense(12) relu dense(outputs)"))},
        Case{"HalfSquaredError", weighted(regress("dense(12) relu dense(outputs)", "half_squared_error"))},
        Case{"Mae", weighted(regress("dense(12) relu dense(outputs)", "mae"))},
        Case{"Huber", weighted(regress("dense(12) relu dense(outputs)", "huber"))}),
    [](const auto& test) { return test.param.name; });

/// Far beyond the depth where plain nets stop to train.
TEST(TrainingPass, TakesAHundredAndTwentyLayers) {
  JobSetup setup =
      classify("dense(8) repeat(60, residual(layer_norm dense(8) relu dense(8))) layer_norm dense(outputs)");
  setup.batches = {12, 5};
  setup.ranks = 2;
  expect_the_reference(setup, 14);
}

/// Batches, shards and ranks that do not fit each other.
TEST(TrainingPass, TakesAnyShapeOfBatch) {
  const std::string model =
      "noise(0.1) dense(19) batch_norm relu dropout(0.2) dense(17) batch_norm(statistics=shard) tanh "
      "dense(9) "
      "layer_norm gelu noise(0.2) dense(outputs)";
  struct Shape {
    std::int64_t shards;
    std::vector<std::int64_t> batches;
    int ranks;
  };
  const Shape shapes[] = {{1, {1, 1}, 1},          {1, {2, 1}, 2},         {3, {3, 2, 1}, 3},
                          {7, {7, 5, 6, 3, 1}, 3}, {8, {5, 3, 1}, 5},      {5, {8, 7, 6, 5}, 5},
                          {16, {3, 16, 9}, 7},     {13, {300, 41, 12}, 4}, {2, {260, 259, 2, 1}, 3}};
  for (const Shape& shape : shapes) {
    JobSetup setup = classify(model);
    setup.shards = shape.shards;
    setup.batches = shape.batches;
    setup.ranks = shape.ranks;
    expect_the_reference(setup, 13);
  }
}

/// What a step gives its batch norms, without a look at the targets.
TEST(TrainingPass, MeasuresAPopulationFromTheInputsAlone) {
  const JobSetup setup =
      classify("dense(8) batch_norm(momentum=1) relu dense(6) batch_norm(momentum=1) tanh dense(outputs)");
  const Network network(simulation::joined_model(setup), setup.threads);
  const Values values = random_values(network, 15);
  reference::Batch batch = random_batch(37, setup, 16);
  simulation::ThreadFold fold(setup.shards, {{{0, setup.shards}}});
  fold.set_batch(37);
  const Team team(setup.threads);
  const ShardPlan plan{setup.shards, {0, setup.shards}, {{0, setup.shards}}};
  const auto pass = [&] {
    return TrainingPass(network, Loss::parse(setup.loss), setup.form, team, plan, setup.batches, fold.of(0));
  };
  std::vector<float> stepped = values.statistics, measured = values.statistics;
  pass().forward(BatchSource(batch, {0, 37}), 37, 1, 0, values.parameters.data(), stepped.data());
  batch.classes.clear();  // asking for them is an error
  Population population;
  pass().measure(BatchSource(batch, {0, 37}), 37, values.parameters.data(), population);
  EXPECT_EQ(population.rows, 37);
  population.store(network, measured.data());
  EXPECT_EQ(measured, stepped);
  EXPECT_NE(measured, values.statistics);
}

/// Parameters that come in while they are waited for: those of some layers by themselves, of the others when
/// they are waited for. Until then they are no numbers.
class LateParameters final : public Arrival {
 public:
  LateParameters(const Network& network, const std::vector<float>& values, unsigned by_themselves)
      : network_(network),
        values_(values),
        by_themselves_(by_themselves),
        here_(network.layers().size()),
        parameters_(values.size(), std::nanf("")) {}
  bool is_here(int layer) override {
    EXPECT_EQ(std::this_thread::get_id(), caller_);
    const auto at = static_cast<std::size_t>(layer);
    if (!here_[at] && (by_themselves_ >> at & 1U) != 0) take(at);
    return here_[at];
  }
  void wait(int layer) override {
    EXPECT_EQ(std::this_thread::get_id(), caller_);
    take(static_cast<std::size_t>(layer));
  }
  float* data() { return parameters_.data(); }
  bool all_asked_for() const { return std::ranges::all_of(here_, [](bool here) { return here; }); }

 private:
  void take(std::size_t layer) {
    const ParameterLayer& place = network_.layers()[layer];
    std::copy_n(values_.begin() + place.offset, place.size, parameters_.begin() + place.offset);
    here_[layer] = true;
  }

  const Network& network_;
  const std::vector<float>& values_;
  unsigned by_themselves_;
  std::vector<bool> here_;
  std::vector<float> parameters_;
  std::thread::id caller_ = std::this_thread::get_id();
};

/// Whichever layer's parameters come late.
TEST(TrainingPass, ReadsNoParameterBeforeItIsHere) {
  for (const char* model : {"dense(16) relu dense(20) tanh dense(outputs)",
                            "batch_norm dense(16) batch_norm relu residual(dense(9) layer_norm tanh dense(12)) "
                            "dropout(0.2) dense(outputs)"}) {
    JobSetup setup = classify(model);
    setup.batches = {130, 37};
    const Network network(simulation::joined_model(setup), setup.threads);
    const Values values = random_values(network, 21);
    const auto layers = static_cast<unsigned>(network.layers().size());
    simulation::ThreadFold fold(setup.shards, {{{0, setup.shards}}});
    const Team team(setup.threads);
    TrainingPass pass(network, Loss::parse(setup.loss), setup.form, team,
                      {setup.shards, {0, setup.shards}, {{0, setup.shards}}}, setup.batches, fold.of(0));
    for (const std::int64_t rows : setup.batches) {
      const reference::Batch batch = random_batch(rows, setup, 22);
      fold.set_batch(rows);
      /// Loss, gradient and statistics of a step.
      const auto step = [&](const float* parameters, Arrival* arrival) {
        std::vector<float> statistics = values.statistics;
        const LossSums sums = pass.forward(BatchSource(batch, {0, rows}), rows, 1, 5, parameters,
                                           statistics.data(), arrival)[0];
        pass.backward([](int) {});
        std::vector<float> gradient(pass.gradient(0), pass.gradient(0) + network.parameter_floats());
        return std::tuple(sums.loss, sums.correct, gradient, statistics);
      };
      const auto expected = step(values.parameters.data(), nullptr);
      for (unsigned by_themselves = 0; by_themselves < 1U << layers; ++by_themselves) {
        LateParameters late(network, values.parameters, by_themselves);
        EXPECT_EQ(step(late.data(), &late), expected) << model << ", layers " << by_themselves;
        EXPECT_TRUE(late.all_asked_for()) << model;
      }
    }
  }
}

}  // namespace
}  // namespace trainer::nn
