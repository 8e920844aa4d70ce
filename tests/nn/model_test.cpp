// The model text: what it means, and what is said of a wrong one.
#include "trainer/nn/model.h"

#include <gtest/gtest.h>

#include "message_of.h"

namespace trainer::nn {
namespace {

/// Paths of all layers, bodies of residuals after their residual.
void list_paths(const std::vector<LayerSpec>& layers, std::vector<std::string>& paths) {
  for (const LayerSpec& layer : layers) {
    paths.push_back(layer.path);
    list_paths(layer.body, paths);
  }
}
std::vector<std::string> paths_of(const Model& model) {
  std::vector<std::string> paths;
  list_paths(model.layers(), paths);
  return paths;
}

TEST(ModelText, ResolvesWidths) {
  const Model model("dense(512) batch_norm relu dropout(0.2) dense(outputs)", 784, 10);
  ASSERT_EQ(model.layers().size(), 5u);
  EXPECT_EQ(model.inputs(), 784);
  EXPECT_EQ(model.outputs(), 10);
  EXPECT_EQ(model.layers()[0].inputs, 784);
  EXPECT_EQ(model.layers()[0].outputs, 512);
  EXPECT_EQ(model.layers()[3].outputs, 512);
  EXPECT_EQ(model.layers()[3].rate, 0.2);
  EXPECT_EQ(model.layers()[4].outputs, 10);
}

TEST(ModelText, ReadsEveryArgument) {
  const Model model(
      "dense(units=3, bias=false, init=normal(0.5)) batch_norm(0.3, 0.01, shard) residual(dense(3), "
      "projection=always) dense(2, init=uniform(a=2)) "
      "dense(2, true, constant(-1)) dense(2, init=zeros)",
      4, 2);
  const auto& layers = model.layers();
  EXPECT_FALSE(layers[0].bias);
  EXPECT_EQ(layers[0].initialiser.kind, Initialiser::Kind::normal);
  EXPECT_EQ(layers[0].initialiser.value, 0.5);
  EXPECT_EQ(layers[1].momentum, 0.3);
  EXPECT_EQ(layers[1].epsilon, 0.01);
  EXPECT_TRUE(layers[1].shard_statistics);
  EXPECT_TRUE(layers[2].projection);
  EXPECT_EQ(layers[3].initialiser.kind, Initialiser::Kind::uniform);
  EXPECT_EQ(layers[3].initialiser.value, 2);
  EXPECT_EQ(layers[4].initialiser.value, -1);
  EXPECT_EQ(layers[5].initialiser.kind, Initialiser::Kind::zeros);
}

TEST(ModelText, HasTheDefaultsOfTheDesign) {
  const Model model("dense(3) batch_norm", 4, 3);
  EXPECT_TRUE(model.layers()[0].bias);
  EXPECT_EQ(model.layers()[1].momentum, 0.1);
  EXPECT_EQ(model.layers()[1].epsilon, 1e-5);
  EXPECT_FALSE(model.layers()[1].shard_statistics);
}

TEST(ModelText, ReadsNormsNoiseAndRectifiers) {
  const Model model(
      "noise(0.5) noise(stddev=0) layer_norm layer_norm(epsilon=0.1) leaky_relu leaky_relu(0.2) elu "
      "elu(alpha=0.5) gelu silu softplus dense(3)",
      4, 3);
  const auto& layers = model.layers();
  EXPECT_EQ(layers[0].deviation, 0.5);
  EXPECT_EQ(layers[1].deviation, 0);
  EXPECT_EQ(layers[2].epsilon, 1e-5);
  EXPECT_EQ(layers[3].epsilon, 0.1);
  EXPECT_EQ(layers[4].slope, 0.01);
  EXPECT_EQ(layers[5].slope, 0.2);
  EXPECT_EQ(layers[6].alpha, 1);
  EXPECT_EQ(layers[7].alpha, 0.5);
  EXPECT_EQ(layers[10].path, "10_softplus");
  for (std::size_t i = 4; i <= 10; ++i) EXPECT_TRUE(is_activation(layers[i].kind)) << layers[i].name;
  for (std::size_t i = 0; i <= 3; ++i) EXPECT_FALSE(is_activation(layers[i].kind)) << layers[i].name;
}

TEST(ModelText, ShortFormIsAReluNet) {
  const Model model("512-100", 784, 10);
  EXPECT_EQ(paths_of(model),
            (std::vector<std::string>{"00_dense", "01_relu", "02_dense", "03_relu", "04_dense"}));
  EXPECT_EQ(model.layers()[0].outputs, 512);
  EXPECT_EQ(model.layers()[2].outputs, 100);
  EXPECT_EQ(model.layers()[4].outputs, 10);
  EXPECT_EQ(model.layers()[2].initialiser.kind, Initialiser::Kind::he);
  EXPECT_EQ(model.layers()[4].initialiser.kind, Initialiser::Kind::glorot);
  EXPECT_EQ(paths_of(Model("30", 5, 2)).size(), 3u);
}

TEST(ModelText, RepeatIsWrittenOut) {
  const Model model("repeat(2, dense(8) repeat(2, relu tanh)) dense(outputs)", 4, 3);
  EXPECT_EQ(paths_of(model),
            (std::vector<std::string>{"00_dense", "01_relu", "02_tanh", "03_relu", "04_tanh", "05_dense",
                                      "06_relu", "07_tanh", "08_relu", "09_tanh", "10_dense"}));
  EXPECT_EQ(model.layers()[5].inputs, 8);
}

TEST(ModelText, PathsNestAndHaveAsManyDigitsAsNeeded) {
  EXPECT_EQ(
      paths_of(Model("dense(4) residual(relu dense(4) residual(dense(5) dense(4))) dense(outputs)", 3, 2)),
      (std::vector<std::string>{"00_dense", "01_residual", "01_residual/00_relu", "01_residual/01_dense",
                                "01_residual/02_residual", "01_residual/02_residual/00_dense",
                                "01_residual/02_residual/01_dense", "02_dense"}));
  EXPECT_EQ(Model("repeat(99, relu) dense(2)", 3, 2).layers().back().path, "99_dense");
  const Model hundred_one("repeat(100, relu) dense(2)", 3, 2);
  EXPECT_EQ(hundred_one.layers().front().path, "000_relu");
  EXPECT_EQ(hundred_one.layers().back().path, "100_dense");
}

TEST(ModelText, ResidualProjectsWhereWidthsDiffer) {
  const Model model("dense(4) residual(dense(4)) residual(dense(5)) dense(2)", 3, 2);
  EXPECT_FALSE(model.layers()[1].projection);
  EXPECT_TRUE(model.layers()[2].projection);
  EXPECT_EQ(model.layers()[2].outputs, 5);
}

TEST(ModelText, AutomaticInitialisersLookAtTheActivationThatFollows) {
  using Kind = Initialiser::Kind;
  const Model model(
      "dense(4) batch_norm dropout(0.1) relu dense(4) tanh dense(4, init=he) residual(dense(4) relu "
      "dense(4)) relu dense(2)",
      3, 2);
  const auto& layers = model.layers();
  EXPECT_EQ(layers[0].initialiser.kind, Kind::he);
  EXPECT_EQ(layers[4].initialiser.kind, Kind::glorot);
  EXPECT_EQ(layers[6].initialiser.kind, Kind::he);
  EXPECT_EQ(layers[7].body[0].initialiser.kind, Kind::he);
  EXPECT_EQ(layers[7].body[2].initialiser.kind, Kind::he);  // the relu after the residual
  EXPECT_EQ(layers[9].initialiser.kind, Kind::glorot);
  for (const std::string rectifier : {"relu", "leaky_relu", "elu", "gelu", "silu", "softplus"})
    EXPECT_EQ(
        Model("dense(4) layer_norm noise(0.1) " + rectifier + " dense(2)", 3, 2).layers()[0].initialiser.kind,
        Kind::he)
        << rectifier;
  for (const std::string other : {"tanh", "sigmoid", "softmax", "layer_norm"})
    EXPECT_EQ(Model("dense(4) " + other + " dense(2)", 3, 2).layers()[0].initialiser.kind, Kind::glorot)
        << other;
}

TEST(ModelText, OneOutputCanBeAllowed) {
  EXPECT_EQ(Model("dense(1) sigmoid", 3, 2, true).outputs(), 1);
  EXPECT_EQ(Model("dense(outputs)", 3, 2, true).outputs(), 2);
  expect_caret([] { Model("dense(1) sigmoid", 3, 2); }, "1 wide", 9);
}

auto parsing(const std::string& text) {
  return [text] { Model(text, 4, 10); };
}

TEST(WrongModelText, UnknownLayer) {
  expect_caret(parsing("dense(4) rellu dense(10)"), "unknown layer \"rellu\"; did you mean relu?", 9);
  expect_caret(parsing("dense(4) batchnorm dense(10)"), "did you mean batch_norm?", 9);
  expect_caret(parsing("dense(4) residual(relu convolution(3)) dense(10)"), "unknown layer \"convolution\"",
               23);
  expect_caret(parsing("repeat(2, dense(4) gru) dense(10)"), "unknown layer \"gru\"", 19);
}

TEST(WrongModelText, WidthOfTheLastLayer) {
  expect_caret(parsing("dense(512) relu dense(9)"), "the last layer is 9 wide, but the data needs 10 outputs",
               16);
  expect_caret(parsing("relu"), "4 wide", 0);
}

TEST(WrongModelText, Units) {
  expect_caret(parsing("dense relu"), "dense needs a number of units", 0);
  expect_caret(parsing("relu dense() relu"), "dense needs a number of units", 5);
  expect_caret(parsing("dense(0)"), "from 1 to 16777216", 6);
  expect_caret(parsing("dense(-3)"), "from 1 to", 6);
  expect_caret(parsing("dense(2.5)"), "from 1 to", 6);
  expect_caret(parsing("dense(16777217)"), "from 1 to", 6);
  expect_caret(parsing("dense(99999999999999999999)"), "from 1 to", 6);
  expect_caret(parsing("dense(output)"), "the word outputs", 6);
  expect_caret(parsing("dense(10 10)"), "one value", 9);
}

TEST(WrongModelText, Arguments) {
  expect_caret(parsing("dense(10, bas=true)"), "did you mean bias?", 10);
  expect_caret(parsing("dense(10, bias=maybe)"), "true or false", 15);
  expect_caret(parsing("dense(10, init=xavier)"), "expected auto, he, glorot", 15);
  expect_caret(parsing("dense(10, init=normal)"), "needs s", 15);
  expect_caret(parsing("dense(10, init=he(2))"), "too many arguments", 18);
  expect_caret(parsing("dropout dense(10)"), "needs rate", 0);
  expect_caret(parsing("dropout(1) dense(10)"), "[0, 1)", 8);
  expect_caret(parsing("relu(0.1) dense(10)"), "takes no arguments", 5);
  expect_caret(parsing("batch_norm(epsilon=0) dense(10)"), "(0, 1]", 19);
  expect_caret(parsing("batch_norm(statistics=local) dense(10)"), "global, shard", 22);
  expect_caret(parsing("residual(relu, projection=never) dense(10)"), "auto, always", 26);
}

TEST(WrongModelText, ArgumentsOfNormsNoiseAndRectifiers) {
  expect_caret(parsing("noise dense(10)"), "needs stddev", 0);
  expect_caret(parsing("noise(-1) dense(10)"), "stddev", 6);
  expect_caret(parsing("layer_norm(0) dense(10)"), "(0, 1]", 11);
  expect_caret(parsing("layer_norm(momentum=0.1) dense(10)"), "momentum", 11);
  expect_caret(parsing("leaky_relu(-0.1) dense(10)"), "slope", 11);
  expect_caret(parsing("elu(alpha=-1) dense(10)"), "alpha", 10);
  expect_caret(parsing("gelu(1) dense(10)"), "takes no arguments", 5);
  expect_caret(parsing("layernorm dense(10)"), "did you mean layer_norm?", 0);
  expect_caret(parsing("leakyrelu dense(10)"), "did you mean leaky_relu?", 0);
}

TEST(WrongModelText, NestedSequences) {
  expect_caret(parsing("dense(10) residual()"), "residual", 10);
  expect_caret(parsing("dense(10) residual"), "residual", 10);
  expect_caret(parsing("repeat(3) dense(10)"), "repeat", 0);
  expect_caret(parsing("repeat(0, relu) dense(10)"), "whole number", 7);
  expect_caret(parsing("repeat(relu) dense(10)"), "whole number", 7);
  expect_caret(parsing("dense(10"), "never closed", 5);
  expect_caret(parsing("dense(10))"), "\")\"", 9);
}

TEST(WrongModelText, ShortForm) {
  expect_caret(parsing("512-"), "number of units", 4);
  expect_caret(parsing("512-0-3"), "number of units", 4);
  expect_caret(parsing("-512"), "number of units", 0);
}

TEST(WrongModelText, Nothing) {
  expect_usage_error(parsing(""), "--model");
  expect_usage_error(parsing("   "), "--model");
}

TEST(HostileModelText, EndsQuickly) {
  expect_usage_error(parsing("repeat(10000, relu relu) dense(10)"), "more than 10000 layers");
  expect_usage_error(parsing("repeat(10000, repeat(10000, repeat(10000, relu))) dense(10)"),
                     "more than 10000 layers");
  expect_usage_error(parsing("repeat(10000, residual(repeat(10000, relu))) dense(10)"),
                     "more than 10000 layers");
  std::string deep = "dense(10)";
  for (int i = 0; i < 40; ++i) deep = "residual(" + deep + ")";
  expect_usage_error(parsing(deep), "deeper");
}

TEST(HostileModelText, IsNotCopiedForEachRepetition) {
  std::string body = "relu";
  for (int i = 0; i < 9'000; ++i) body += " relu";
  expect_usage_error(parsing("repeat(9999, residual(" + body + ")) dense(10)"), "more than 10000 layers");
  expect_usage_error(parsing("repeat(5000, repeat(1, residual(" + body + "))) dense(10)"),
                     "more than 10000 layers");
}

TEST(ModelWidths, OfTheDataAreChecked) {
  EXPECT_THROW(Model("dense(outputs)", 0, 1), Error);
  EXPECT_THROW(Model("dense(outputs)", 1, 0), Error);
  EXPECT_THROW(Model("dense(outputs)", std::int64_t{1} << 40, 1), Error);
}

}  // namespace
}  // namespace trainer::nn
